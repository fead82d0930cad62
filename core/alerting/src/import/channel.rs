//! Receivers of an Alertmanager configuration.

use super::Import;
use super::foreign::FOREIGN;
use super::global::Global;
use crate::reader::{Fields, Value};
use crate::receiver::{Channel, ChannelKind, Email, Receiver, Secret, Turn, Webhook};
use crate::template::Template;

/// Keys that every channel has.
const ALL: [&str; 1] = ["send_resolved"];

const PAGERDUTY_URL: &str = "https://events.pagerduty.com/v2/enqueue";
const TELEGRAM_URL: &str = "https://api.telegram.org";
const SLACK_APP_URL: &str = "https://slack.com/api/chat.postMessage";

type Reading = fn(&mut Import, &Value<'_>, &Global) -> Option<Channel>;

/// Channels that are spoken.
const SPOKEN: [(&str, Reading); 6] = [
    ("email_configs", Import::email),
    ("slack_configs", Import::slack),
    ("pagerduty_configs", Import::pagerduty),
    ("discord_configs", Import::discord),
    ("telegram_configs", Import::telegram),
    ("webhook_configs", Import::webhook),
];

impl Import {
    pub(crate) fn receiver(&mut self, value: &Value<'_>, global: &Global) -> Receiver {
        let spoken = SPOKEN.iter().map(|(key, _)| *key);
        let foreign = FOREIGN.iter().map(|foreign| foreign.key);
        let known: Vec<&str> = std::iter::once("name")
            .chain(spoken)
            .chain(foreign)
            .collect();
        let fields = self.reader.map(value, &known);
        let name = self.reader.text_of(&fields, "name");
        let mut channels = Vec::new();
        for (key, read) in SPOKEN {
            let listed = fields
                .get(key)
                .map(|value| self.reader.list(&value))
                .unwrap_or_default();
            channels.extend(listed.iter().filter_map(|value| read(self, value, global)));
        }
        for foreign in &FOREIGN {
            let listed = fields
                .get(foreign.key)
                .map(|value| self.reader.list(&value))
                .unwrap_or_default();
            channels.extend(
                listed
                    .iter()
                    .map(|value| self.foreign(value, foreign, global)),
            );
        }
        Receiver { name, channels }
    }

    pub(super) fn channel_fields<'n>(&mut self, value: &Value<'n>, known: &[&str]) -> Fields<'n> {
        let known: Vec<&str> = ALL.iter().chain(known).copied().collect();
        self.reader.map(value, &known)
    }

    pub(super) fn channel(
        &mut self,
        fields: &Fields<'_>,
        kind: ChannelKind,
        resolved: bool,
        texts: [&str; 2],
    ) -> Channel {
        Channel {
            kind,
            send_resolved: self
                .reader
                .truth_of(fields, "send_resolved")
                .unwrap_or(resolved),
            title: self.template(fields, texts[0]),
            text: self.template(fields, texts[1]),
            turn: Turn::default(),
        }
    }

    /// A text of the message. One that needs template files has Mainstay's own form instead.
    fn template(&mut self, fields: &Fields<'_>, key: &str) -> Option<Template> {
        let value = fields.get(key)?;
        let text = self.reader.text(&value);
        match Template::parse(&text, &[]) {
            Ok(template) => Some(template),
            Err(fault) if fault.why.contains("is not defined") => {
                self.remark(
                    value.place(),
                    &value.path,
                    format!("{}; Mainstay's own text is used", fault.why),
                );
                None
            }
            Err(fault) => {
                self.reader.fault(
                    value.place(),
                    &value.path,
                    format!("broken template: {fault}"),
                );
                None
            }
        }
    }

    /// Keys whose content has no place in Mainstay's messages.
    fn not_carried(&mut self, fields: &Fields<'_>, keys: &[&str]) {
        for key in keys {
            if let Some(value) = fields.get(key) {
                self.remark(
                    value.place(),
                    &value.path,
                    format!("`{key}` is not carried over"),
                );
            }
        }
    }

    pub(super) fn needed(&mut self, value: &Value<'_>, message: &str) {
        self.reader.fault(value.place(), &value.path, message);
    }

    #[expect(clippy::unnecessary_wraps, reason = "all channels are read alike")]
    fn email(&mut self, value: &Value<'_>, global: &Global) -> Option<Channel> {
        let known = [
            "to",
            "from",
            "hello",
            "smarthost",
            "auth_username",
            "auth_password",
            "auth_password_file",
            "auth_secret",
            "auth_secret_file",
            "auth_identity",
            "headers",
            "html",
            "text",
            "require_tls",
            "tls_config",
            "threading",
            "force_implicit_tls",
        ];
        let fields = self.channel_fields(value, &known);
        self.tls(&fields, "tls_config");
        self.not_carried(
            &fields,
            &[
                "html",
                "auth_secret",
                "auth_secret_file",
                "auth_identity",
                "threading",
            ],
        );
        let or = |own: String, global: &str| {
            if own.is_empty() {
                global.to_owned()
            } else {
                own
            }
        };
        let to = self.reader.text_of(&fields, "to");
        if to.is_empty() {
            self.needed(value, "`to` is missing");
        }
        let server = or(self.host(&fields, "smarthost"), &global.smtp_smarthost);
        if server.is_empty() {
            self.needed(
                value,
                "no mail server is given: `smarthost` or `global.smtp_smarthost`",
            );
        }
        let from = or(self.reader.text_of(&fields, "from"), &global.smtp_from);
        if from.is_empty() {
            self.needed(value, "no sender is given: `from` or `global.smtp_from`");
        }
        let password = self.secret(&fields, "auth_password");
        self.secret(&fields, "auth_secret");
        let headers = self.reader.pairs_of(&fields, "headers");
        let implicit = self
            .reader
            .truth_of(&fields, "force_implicit_tls")
            .or(global.smtp_implicit_tls);
        let email = Email {
            to: to
                .split(',')
                .map(|one| one.trim().to_owned())
                .filter(|one| !one.is_empty())
                .collect(),
            from,
            implicit_tls: implicit.unwrap_or_else(|| server.ends_with(":465")),
            server,
            hello: or(self.reader.text_of(&fields, "hello"), &global.smtp_hello),
            user: or(
                self.reader.text_of(&fields, "auth_username"),
                &global.smtp_user,
            ),
            password: password.or_else(|| global.smtp_password.clone()),
            require_tls: self
                .reader
                .truth_of(&fields, "require_tls")
                .or(global.smtp_require_tls)
                .unwrap_or(true),
            headers: headers
                .into_iter()
                .map(|pair| (pair.name, pair.value))
                .collect(),
        };
        Some(self.channel(&fields, ChannelKind::Email(email), false, ["", "text"]))
    }

    fn slack(&mut self, value: &Value<'_>, global: &Global) -> Option<Channel> {
        let known = [
            "http_config",
            "api_url",
            "api_url_file",
            "app_token",
            "app_token_file",
            "app_url",
            "channel",
            "username",
            "color",
            "title",
            "title_link",
            "pretext",
            "text",
            "message_text",
            "fields",
            "short_fields",
            "footer",
            "fallback",
            "callback_id",
            "icon_emoji",
            "icon_url",
            "image_url",
            "thumb_url",
            "link_names",
            "mrkdwn_in",
            "actions",
            "timeout",
        ];
        let fields = self.channel_fields(value, &known);
        self.http(&fields);
        self.url(&fields, "api_url");
        self.not_carried(
            &fields,
            &[
                "username",
                "color",
                "title_link",
                "pretext",
                "fields",
                "short_fields",
                "footer",
                "fallback",
                "callback_id",
                "icon_emoji",
                "icon_url",
                "image_url",
                "thumb_url",
                "link_names",
                "mrkdwn_in",
                "actions",
            ],
        );
        let url = self.secret(&fields, "api_url");
        let token = self.secret(&fields, "app_token");
        let token = token.or_else(|| global.slack_token.clone().filter(|_| url.is_none()));
        let app_url = self.reader.text_of(&fields, "app_url");
        let app_url = [
            app_url,
            global.slack_app_url.clone(),
            SLACK_APP_URL.to_owned(),
        ];
        let app_url = app_url
            .into_iter()
            .find(|url| !url.is_empty())
            .map(Secret::Inline);
        let url = match &token {
            Some(_) => app_url,
            None => url.or_else(|| global.slack_url.clone()),
        };
        let Some(url) = url else {
            self.needed(value, "no Slack address and no application token is given: `api_url`, `api_url_file`, `app_token` or one under `global`");
            return None;
        };
        let channel = self.reader.text_of(&fields, "channel");
        let kind = ChannelKind::Slack {
            url,
            token,
            channel,
        };
        Some(self.channel(&fields, kind, false, ["title", "text"]))
    }

    fn pagerduty(&mut self, value: &Value<'_>, global: &Global) -> Option<Channel> {
        let known = [
            "http_config",
            "service_key",
            "service_key_file",
            "routing_key",
            "routing_key_file",
            "url",
            "client",
            "client_url",
            "description",
            "details",
            "images",
            "links",
            "source",
            "severity",
            "class",
            "component",
            "group",
            "timeout",
        ];
        let fields = self.channel_fields(value, &known);
        self.http(&fields);
        self.url(&fields, "url");
        let service = self.secret(&fields, "service_key");
        if service.is_some() {
            self.remark(
                value.place(),
                &value.path,
                "`service_key` is of Events v1; events are sent in the form of v2",
            );
        }
        self.not_carried(
            &fields,
            &[
                "client",
                "client_url",
                "details",
                "images",
                "links",
                "source",
                "severity",
                "class",
                "component",
                "group",
            ],
        );
        let Some(routing_key) = self.secret(&fields, "routing_key").or(service) else {
            self.needed(
                value,
                "one of `routing_key` and `routing_key_file` must be given",
            );
            return None;
        };
        let urls = [
            self.reader.text_of(&fields, "url"),
            global.pagerduty_url.clone(),
            PAGERDUTY_URL.to_owned(),
        ];
        let url = urls
            .into_iter()
            .find(|url| !url.is_empty())
            .unwrap_or_default();
        let kind = ChannelKind::PagerDuty { routing_key, url };
        Some(self.channel(&fields, kind, true, ["description", ""]))
    }

    fn discord(&mut self, value: &Value<'_>, _: &Global) -> Option<Channel> {
        let known = [
            "http_config",
            "webhook_url",
            "webhook_url_file",
            "title",
            "message",
            "content",
            "username",
            "avatar_url",
        ];
        let fields = self.channel_fields(value, &known);
        self.http(&fields);
        self.url(&fields, "webhook_url");
        self.not_carried(&fields, &["content", "username", "avatar_url"]);
        let Some(url) = self.secret(&fields, "webhook_url") else {
            self.needed(
                value,
                "one of `webhook_url` and `webhook_url_file` must be given",
            );
            return None;
        };
        Some(self.channel(
            &fields,
            ChannelKind::Discord { url },
            true,
            ["title", "message"],
        ))
    }

    fn telegram(&mut self, value: &Value<'_>, global: &Global) -> Option<Channel> {
        let known = [
            "http_config",
            "api_url",
            "bot_token",
            "bot_token_file",
            "chat_id",
            "chat_id_file",
            "message_thread_id",
            "message",
            "disable_notifications",
            "parse_mode",
        ];
        let fields = self.channel_fields(value, &known);
        self.http(&fields);
        self.url(&fields, "api_url");
        self.not_carried(&fields, &["disable_notifications"]);
        let mode = self.reader.text_of(&fields, "parse_mode");
        if !matches!(mode.as_str(), "" | "Markdown" | "MarkdownV2" | "HTML") {
            let message =
                format!("`parse_mode` is `{mode}`, expected `Markdown`, `MarkdownV2` or `HTML`");
            self.needed(value, &message);
        }
        let token = self
            .secret(&fields, "bot_token")
            .or_else(|| global.telegram_token.clone());
        if token.is_none() {
            self.needed(value, "one of `bot_token` and `bot_token_file` must be given, here or as `global.telegram_bot_token`");
        }
        let chat = self.reader.text_of(&fields, "chat_id");
        if chat.is_empty() && !fields.has("chat_id_file") {
            self.needed(value, "`chat_id` is missing");
        }
        self.not_carried(&fields, &["chat_id_file"]);
        let thread = self.reader.text_of(&fields, "message_thread_id");
        let urls = [
            self.reader.text_of(&fields, "api_url"),
            global.telegram_url.clone(),
            TELEGRAM_URL.to_owned(),
        ];
        let kind = ChannelKind::Telegram {
            token: token?,
            chat,
            thread: Some(thread).filter(|thread| !thread.is_empty()),
            url: urls
                .into_iter()
                .find(|url| !url.is_empty())
                .unwrap_or_default(),
        };
        Some(self.channel(&fields, kind, true, ["", "message"]))
    }

    fn webhook(&mut self, value: &Value<'_>, _: &Global) -> Option<Channel> {
        let known = [
            "http_config",
            "url",
            "url_file",
            "max_alerts",
            "timeout",
            "payload",
        ];
        let fields = self.channel_fields(value, &known);
        let bearer = self.http(&fields);
        self.url(&fields, "url");
        self.not_carried(&fields, &["payload"]);
        let Some(url) = self.secret(&fields, "url") else {
            self.needed(value, "one of `url` and `url_file` must be given");
            return None;
        };
        let webhook = Webhook {
            url,
            key: None,
            bearer,
            alerts_max: self.reader.count_of(&fields, "max_alerts").unwrap_or(0),
        };
        Some(self.channel(&fields, ChannelKind::Webhook(webhook), true, ["", ""]))
    }
}

#[cfg(test)]
mod tests {
    use crate::import::read_alertmanager;
    use crate::receiver::{ChannelKind, Secret};

    #[test]
    fn mistakes_name_the_key_and_the_place() {
        let route = "route: {receiver: r}\n";
        for (text, line, why) in [
            ("receivers: []", 1, "no route"),
            ("route: {}\nreceivers: []", 1, "must name a `receiver`"),
            (
                "route: {receiver: x}\nreceivers: []",
                1,
                "receiver `x` is used",
            ),
            (
                &format!("{route}receivers: [{{name: r}}, {{name: r}}]"),
                2,
                "there already",
            ),
            (
                "route: {receiver: r, matchers: [a=b]}\nreceivers: [{name: r}]",
                1,
                "takes everything",
            ),
            (
                "route: {receiver: r, routes: [{matchers: ['a']}]}\nreceivers: [{name: r}]",
                1,
                "not a matcher",
            ),
            (
                "route: {receiver: r, group_by: ['...', a]}\nreceivers: [{name: r}]",
                1,
                "must be alone",
            ),
            (
                "route: {receiver: r, group_interval: 0s}\nreceivers: [{name: r}]",
                1,
                "cannot be zero",
            ),
            (
                "route: {receiver: r, routes: [{mute_time_intervals: [n]}]}\nreceivers: [{name: r}]",
                1,
                "time interval `n`",
            ),
            (
                &format!("{route}receivers: [{{name: r, webhook_configs: [{{url: foo}}]}}]"),
                2,
                "must be an address",
            ),
            (
                &format!("{route}receivers: [{{name: r, webhook_configs: [{{}}]}}]"),
                2,
                "`url_file`",
            ),
            (
                &format!("{route}receivers: [{{name: r, fax_configs: []}}]"),
                2,
                "unknown key `fax_configs`",
            ),
            (
                &format!("{route}receivers: [{{name: r, email_configs: [{{to: a@b}}]}}]"),
                2,
                "no mail server",
            ),
            (
                &format!("{route}nope: 1\nreceivers: [{{name: r}}]"),
                2,
                "unknown key `nope`",
            ),
        ] {
            let faults = read_alertmanager("f", text).unwrap_err();
            let told = faults.iter().find(|fault| fault.to_string().contains(why));
            let told = told.unwrap_or_else(|| panic!("{text}: {faults:?}"));
            assert_eq!(told.place.line, line, "{told}");
        }
    }

    #[test]
    fn what_is_not_carried_over_is_said() {
        let text = "route: {receiver: r}\nglobal: {slack_api_url: 'https://h/x'}\nreceivers:\n- name: r\n  slack_configs: [{channel: '#a', text: '{{ template \"x\" . }}', color: red}]\n  opsgenie_configs: [{api_key: k}]\n";
        let imported = read_alertmanager("f", text).unwrap();
        let channels = &imported.routing.receivers["r"].channels;
        assert!(
            matches!(&channels[0].kind, ChannelKind::Slack { url: Secret::Inline(url), .. } if url == "https://h/x")
        );
        assert!(
            matches!(&channels[1].kind, ChannelKind::Foreign { key } if key == "opsgenie_configs")
        );
        let remarks: Vec<_> = imported
            .remarks
            .iter()
            .map(|remark| remark.text.as_str())
            .collect();
        assert!(
            remarks
                .iter()
                .any(|text| text.contains("template `x` is not defined")),
            "{remarks:?}"
        );
        assert!(
            remarks
                .iter()
                .any(|text| text.contains("`color` is not carried over"))
        );
        assert!(remarks.iter().any(|text| text.contains("not spoken")));
        assert!(
            !format!("{channels:?}").contains("https://h/x"),
            "secrets are not shown"
        );
    }
}
