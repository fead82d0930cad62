//! What an Alertmanager configuration says once for all channels.

use super::Import;
use crate::reader::{Fields, Value};
use crate::receiver::Secret;
use mainstay_atoms::Url;

const KNOWN: &[&str] = &[
    "smtp_from",
    "smtp_hello",
    "smtp_smarthost",
    "smtp_auth_username",
    "smtp_auth_password",
    "smtp_auth_password_file",
    "smtp_auth_secret",
    "smtp_auth_secret_file",
    "smtp_auth_identity",
    "smtp_require_tls",
    "smtp_tls_config",
    "smtp_force_implicit_tls",
    "slack_api_url",
    "slack_api_url_file",
    "slack_app_token",
    "slack_app_token_file",
    "slack_app_url",
    "victorops_api_url",
    "victorops_api_key",
    "victorops_api_key_file",
    "pagerduty_url",
    "opsgenie_api_key",
    "opsgenie_api_key_file",
    "opsgenie_api_url",
    "rocketchat_api_url",
    "rocketchat_token",
    "rocketchat_token_file",
    "rocketchat_token_id",
    "rocketchat_token_id_file",
    "wechat_api_url",
    "wechat_api_secret",
    "wechat_api_secret_file",
    "wechat_api_corp_id",
    "telegram_api_url",
    "telegram_bot_token",
    "telegram_bot_token_file",
    "webex_api_url",
    "jira_api_url",
    "mattermost_webhook_url",
    "mattermost_webhook_url_file",
    "http_config",
    "resolve_timeout",
];

/// Values that channels fall back to.
#[derive(Debug, Default)]
pub(crate) struct Global {
    pub(crate) smtp_from: String,
    pub(crate) smtp_hello: String,
    pub(crate) smtp_smarthost: String,
    pub(crate) smtp_user: String,
    pub(crate) smtp_password: Option<Secret>,
    pub(crate) smtp_require_tls: Option<bool>,
    pub(crate) smtp_implicit_tls: Option<bool>,
    pub(crate) slack_url: Option<Secret>,
    pub(crate) slack_token: Option<Secret>,
    pub(crate) slack_app_url: String,
    pub(crate) pagerduty_url: String,
    pub(crate) telegram_url: String,
    pub(crate) telegram_token: Option<Secret>,
    /// Keys that are there, for channels that are not spoken.
    pub(crate) given: Vec<String>,
}

impl Global {
    pub(crate) fn read(import: &mut Import, value: Option<&Value<'_>>) -> Self {
        let Some(value) = value else {
            return Self::default();
        };
        let fields = import.reader.map(value, KNOWN);
        import.http(&fields);
        import.tls(&fields, "smtp_tls_config");
        import.reader.duration_of(&fields, "resolve_timeout");
        for key in [
            "victorops_api_key",
            "opsgenie_api_key",
            "wechat_api_secret",
            "rocketchat_token",
            "rocketchat_token_id",
        ] {
            import.secret(&fields, key);
        }
        for key in [
            "slack_api_url",
            "slack_app_url",
            "victorops_api_url",
            "pagerduty_url",
            "opsgenie_api_url",
            "wechat_api_url",
            "telegram_api_url",
            "webex_api_url",
            "jira_api_url",
            "rocketchat_api_url",
        ] {
            import.url(&fields, key);
        }
        let given = KNOWN
            .iter()
            .filter(|key| fields.has(key))
            .map(|key| (*key).to_owned());
        let given = given.collect();
        import.secret(&fields, "smtp_auth_secret");
        Self {
            smtp_from: import.reader.text_of(&fields, "smtp_from"),
            smtp_hello: import.reader.text_of(&fields, "smtp_hello"),
            smtp_smarthost: import.host(&fields, "smtp_smarthost"),
            smtp_user: import.reader.text_of(&fields, "smtp_auth_username"),
            smtp_password: import.secret(&fields, "smtp_auth_password"),
            smtp_require_tls: import.reader.truth_of(&fields, "smtp_require_tls"),
            smtp_implicit_tls: import.reader.truth_of(&fields, "smtp_force_implicit_tls"),
            slack_url: import.secret(&fields, "slack_api_url"),
            slack_token: import.secret(&fields, "slack_app_token"),
            slack_app_url: import.reader.text_of(&fields, "slack_app_url"),
            pagerduty_url: import.reader.text_of(&fields, "pagerduty_url"),
            telegram_url: import.reader.text_of(&fields, "telegram_api_url"),
            telegram_token: import.secret(&fields, "telegram_bot_token"),
            given,
        }
    }

    /// Whether one of these keys is given.
    pub(crate) fn has(&self, keys: &[&str]) -> bool {
        keys.iter()
            .any(|key| self.given.iter().any(|given| given == key))
    }
}

impl Import {
    /// A secret under a key, or the file under the same key with `_file`; both are a mistake.
    pub(crate) fn secret(&mut self, fields: &Fields<'_>, key: &str) -> Option<Secret> {
        let file_key = format!("{key}_file");
        let value = self.reader.text_of(fields, key);
        let file = self.reader.text_of(fields, &file_key);
        match (value.is_empty(), file.is_empty()) {
            (true, true) => None,
            (false, true) => Some(Secret::Inline(value)),
            (true, false) => Some(Secret::File(file)),
            (false, false) => {
                let place = fields
                    .get(&file_key)
                    .map_or(fields.place, |value| value.place());
                let message = format!("at most one of `{key}` and `{file_key}` can be given");
                self.reader.fault(place, &fields.path, message);
                None
            }
        }
    }

    /// Checks that what stands under a key is an address.
    pub(crate) fn url(&mut self, fields: &Fields<'_>, key: &str) {
        let Some(value) = fields.get(key) else {
            return;
        };
        let text = self.reader.text(&value);
        // What is a template becomes an address only later.
        if !text.contains("{{")
            && let Err(fault) = Url::parse(&text)
        {
            let message = format!("`{key}` must be an address: {fault}");
            self.reader.fault(value.place(), &value.path, message);
        }
    }

    /// `host:port` under a key.
    pub(crate) fn host(&mut self, fields: &Fields<'_>, key: &str) -> String {
        let Some(value) = fields.get(key) else {
            return String::new();
        };
        let text = self.reader.text(&value);
        let port = text
            .rsplit_once(':')
            .and_then(|(_, port)| port.parse::<u16>().ok());
        if port.is_none() {
            let message = format!("`{text}` is not a server such as `mail.example.org:587`");
            self.reader.fault(value.place(), &value.path, message);
        }
        text
    }

    /// Reads `http_config`: what of it has no place here is said.
    pub(crate) fn http(&mut self, fields: &Fields<'_>) -> Option<Secret> {
        let value = fields.get("http_config")?;
        let known = [
            "basic_auth",
            "authorization",
            "oauth2",
            "bearer_token",
            "bearer_token_file",
            "tls_config",
            "follow_redirects",
            "enable_http2",
            "proxy_url",
            "no_proxy",
            "proxy_from_environment",
            "proxy_connect_header",
            "http_headers",
        ];
        let inner = self.reader.map(&value, &known);
        self.tls(&inner, "tls_config");
        for key in [
            "basic_auth",
            "oauth2",
            "proxy_url",
            "no_proxy",
            "proxy_from_environment",
            "proxy_connect_header",
            "http_headers",
        ] {
            if let Some(found) = inner.get(key) {
                self.remark(
                    found.place(),
                    &found.path,
                    format!("`{key}` is not carried over: messages go straight to their channel"),
                );
            }
        }
        for key in ["follow_redirects", "enable_http2", "proxy_from_environment"] {
            self.reader.truth_of(&inner, key);
        }
        let bearer = self.secret(&inner, "bearer_token");
        let Some(authorization) = inner.get("authorization") else {
            return bearer;
        };
        let authorization = self
            .reader
            .map(&authorization, &["type", "credentials", "credentials_file"]);
        self.secret(&authorization, "credentials").or(bearer)
    }

    pub(crate) fn tls(&mut self, fields: &Fields<'_>, key: &str) {
        let Some(value) = fields.get(key) else {
            return;
        };
        let known = [
            "ca",
            "ca_file",
            "ca_ref",
            "cert",
            "cert_file",
            "cert_ref",
            "key",
            "key_file",
            "key_ref",
            "server_name",
            "insecure_skip_verify",
            "min_version",
            "max_version",
        ];
        self.reader.map(&value, &known);
        self.remark(
            value.place(),
            &value.path,
            "TLS settings are not carried over: certificates are checked against the system's",
        );
    }
}
