//! Channels of Alertmanager that Mainstay does not speak: they are checked, and it is said that nobody hears.

use super::Import;
use super::global::Global;
use crate::reader::Value;
use crate::receiver::{Channel, ChannelKind};

/// A channel that is not spoken: its keys, which of them it needs, and the global ones that stand in for them.
pub(super) struct Foreign {
    pub(super) key: &'static str,
    known: &'static [&'static str],
    /// Each line is a need: one of these keys.
    needs: &'static [&'static [&'static str]],
    global: &'static [&'static str],
    /// What is said when a need is not met.
    message: &'static str,
}

/// All of them.
pub(super) const FOREIGN: [Foreign; 10] = [
    Foreign {
        key: "opsgenie_configs",
        known: &[
            "http_config",
            "api_key",
            "api_key_file",
            "api_url",
            "message",
            "description",
            "source",
            "details",
            "entity",
            "responders",
            "actions",
            "tags",
            "note",
            "priority",
            "update_alerts",
        ],
        needs: &[&["api_key", "api_key_file"]],
        global: &["opsgenie_api_key", "opsgenie_api_key_file"],
        message: "no OpsGenie API key is given: `api_key`, `api_key_file` or `global.opsgenie_api_key`",
    },
    Foreign {
        key: "victorops_configs",
        known: &[
            "http_config",
            "api_key",
            "api_key_file",
            "api_url",
            "routing_key",
            "message_type",
            "state_message",
            "entity_display_name",
            "monitoring_tool",
            "custom_fields",
        ],
        needs: &[&["routing_key"]],
        global: &[],
        message: "`routing_key` is missing",
    },
    Foreign {
        key: "pushover_configs",
        known: &[
            "http_config",
            "user_key",
            "user_key_file",
            "token",
            "token_file",
            "title",
            "message",
            "url",
            "url_title",
            "device",
            "sound",
            "priority",
            "retry",
            "expire",
            "ttl",
            "html",
            "monospace",
        ],
        needs: &[&["user_key", "user_key_file"], &["token", "token_file"]],
        global: &[],
        message: "one of `user_key` and `user_key_file`, and one of `token` and `token_file` must be given",
    },
    Foreign {
        key: "sns_configs",
        known: &[
            "http_config",
            "api_url",
            "sigv4",
            "topic_arn",
            "phone_number",
            "target_arn",
            "subject",
            "message",
            "attributes",
        ],
        needs: &[&["topic_arn", "phone_number", "target_arn"]],
        global: &[],
        message: "one of `target_arn`, `topic_arn` and `phone_number` must be given",
    },
    Foreign {
        key: "wechat_configs",
        known: &[
            "http_config",
            "api_secret",
            "api_secret_file",
            "corp_id",
            "message",
            "api_url",
            "to_user",
            "to_party",
            "to_tag",
            "agent_id",
            "message_type",
        ],
        needs: &[&["api_secret", "api_secret_file"]],
        global: &["wechat_api_secret", "wechat_api_secret_file"],
        message: "no WeChat secret is given: `api_secret`, `api_secret_file` or `global.wechat_api_secret`",
    },
    Foreign {
        key: "webex_configs",
        known: &["http_config", "api_url", "message", "room_id"],
        needs: &[&["room_id"]],
        global: &[],
        message: "`room_id` is missing",
    },
    Foreign {
        key: "msteams_configs",
        known: &[
            "http_config",
            "webhook_url",
            "webhook_url_file",
            "title",
            "summary",
            "text",
        ],
        needs: &[&["webhook_url", "webhook_url_file"]],
        global: &[],
        message: "one of `webhook_url` and `webhook_url_file` must be given",
    },
    Foreign {
        key: "msteamsv2_configs",
        known: &[
            "http_config",
            "webhook_url",
            "webhook_url_file",
            "title",
            "text",
        ],
        needs: &[&["webhook_url", "webhook_url_file"]],
        global: &[],
        message: "one of `webhook_url` and `webhook_url_file` must be given",
    },
    Foreign {
        key: "jira_configs",
        known: &[
            "http_config",
            "api_url",
            "api_type",
            "project",
            "summary",
            "description",
            "labels",
            "priority",
            "issue_type",
            "reopen_transition",
            "resolve_transition",
            "wont_fix_resolution",
            "reopen_duration",
            "fields",
        ],
        needs: &[&["project"], &["issue_type"]],
        global: &[],
        message: "`project` and `issue_type` must be given",
    },
    Foreign {
        key: "rocketchat_configs",
        known: &[
            "http_config",
            "api_url",
            "token_id",
            "token_id_file",
            "token",
            "token_file",
            "channel",
            "color",
            "title",
            "title_link",
            "text",
            "fields",
            "short_fields",
            "emoji",
            "icon_url",
            "image_url",
            "thumb_url",
            "link_names",
            "actions",
        ],
        needs: &[&["token", "token_file"]],
        global: &["rocketchat_token", "rocketchat_token_file"],
        message: "no Rocket.Chat token is given: `token`, `token_file` or `global.rocketchat_token`",
    },
];

impl Import {
    /// Checks such a channel.
    pub(super) fn foreign(
        &mut self,
        value: &Value<'_>,
        foreign: &Foreign,
        global: &Global,
    ) -> Channel {
        let fields = self.channel_fields(value, foreign.known);
        self.http(&fields);
        let met = |need: &[&str]| need.iter().any(|key| fields.has(key));
        if !foreign.needs.iter().copied().all(met) && !global.has(foreign.global) {
            self.needed(value, foreign.message);
        }
        let text = format!(
            "`{}` is not spoken: nobody is told over it, name another channel",
            foreign.key
        );
        self.remark(value.place(), &value.path, text);
        let key = foreign.key.to_owned();
        self.channel(&fields, ChannelKind::Foreign { key }, true, ["", ""])
    }
}
