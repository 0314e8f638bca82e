package config

import (
	"maps"

	"carehub/config/strict"
	"carehub/events"
)

// Schema says which texts are a Term. Whether it is long enough only the loader can tell.
func (*Term) Schema() map[string]any {
	return map[string]any{"type": "string", "pattern": `^[0-9]+[dy]$`}
}

// Subjects describe hub.yaml and patients.yaml.
func Subjects() []strict.Subject {
	kinds := strict.Enum(kindNames())
	mechanism := strict.Enum(mechanisms)
	hub := strict.Subject{Name: "hub", Title: "carehub: hub.yaml, the hub itself", Of: Hub{},
		Parts: map[string]any{
			"kinds.*": Kind{}, "kinds.key": kinds, "kinds.*.urgency": strict.Enum{string(events.Urgent), string(events.Routine)},
			"mail.tls": strict.Enum{TLSMandatory, TLSNone}, "mail.auth.mechanism": mechanism, "mail.bounces.imap.auth.mechanism": mechanism,
			"sms.format": strict.Enum{SMSJSON, SMSForm},
		}, Says: described()}
	patients := strict.Subject{Name: "patients", Title: "carehub: patients.yaml (private), who is cared for", Of: strict.Map[Patient]{},
		Parts: map[string]any{"key": strict.Pattern(`^p-[a-z0-9]{2,32}$`), "*.gender": strict.Enum(genders), "*.basis.kind": strict.Enum(bases),
			"*.nhs_number": strict.Pattern(`^([0-9]{10})?$`)},
		Says: patientSays}
	return []strict.Subject{hub, patients}
}

var patientSays = map[string]string{
	"*.name":                   "in full, as recipients read it",
	"*.born":                   "birth date",
	"*.gender":                 "FHIR administrative gender",
	"*.nhs_number":             "ten digits in quotes; sent as present but not traced",
	"*.basis":                  "why the hub may hold and pass on what it is told",
	"*.basis.kind":             "consent, lpa-health or best-interests",
	"*.basis.by":               "who gave it",
	"*.basis.on":               "the day it was given",
	"*.basis.until":            "the last day of it",
	"*.restricted":             "no carer is told of them, and none may log or see, whatever the rules say",
	"*.deceased":               "the day they died",
	"*.summary":                "what the family says of the patient's health; no clinical record",
	"*.summary.conditions":     "the main ones",
	"*.summary.respect":        "whether there is a ReSPECT form",
	"*.summary.respect.exists": "that there is one, or that there is none",
	"*.summary.respect.where":  "where it is kept",
	"*.summary.reviewed":       "when somebody last checked all this",
}

var hubSays = map[string]string{
	"name":                    "what recipients know the hub by",
	"contact":                 "how a person reaches a person",
	"contact.phone":           "which anybody can ring about the hub",
	"contact.email":           "the Reply-To of every mail",
	"alarms":                  "who hears of it when somebody could not be told",
	"alarms.notify":           "subscribers or carers with a channel, at least one",
	"url":                     "what the hub is called from outside",
	"listen":                  "address:port, by default 127.0.0.1:8080",
	"store":                   "folder of the embedded store, by default data",
	"store_key":               "what the embedded store is encrypted with",
	"nats":                    "a NATS server that holds the store instead",
	"nats.url":                "of a server, or of several of a cluster with commas between them",
	"nats.creds":              "path of a credentials file or an NKey seed",
	"nats.ca":                 "path of PEM certificates to trust instead of the system's",
	"nats.replicas":           "of everything that is stored: 1, 3 or 5",
	"timezone":                "an IANA time zone, by default Europe/London",
	"private_files_for_group": "the group of patients.yaml and carers.yaml may read them",
	"kinds":                   "how each kind of event is handled",
	"kinds.*.urgency":         "urgent events do not wait for quiet hours",
	"kinds.*.fallback_after":  "until the next channel is tried as well",
	"kinds.*.alarm_after":     "until the alarm recipients hear that somebody is not told",
	"kinds.*.retention":       "how long events are kept, such as 8y; for ever by default",
	"egress":                  "where the hub may connect to beyond the public internet",
	"egress.allow":            "private networks, such as 10.0.0.0/8; only there is plain http accepted",
	"egress.ca_file":          "path of PEM certificates to trust beside the system's",
	"admins":                  "who may open the admin's pages: carers, or organisations whose staff sign in",
	"signin":                  "how staff of organisations sign in",
	"signin.oidc":             "OpenID Connect providers",

	"signin.oidc.*.name":          "of the provider, for the button",
	"signin.oidc.*.issuer":        "its issuer URL",
	"signin.oidc.*.client_id":     "which it knows the hub by",
	"signin.oidc.*.client_secret": "which it gave the hub",
	"signin.oidc.*.subscriber":    "whose staff sign in by it",
	"signin.oidc.*.emails":        "whole addresses that may",
	"signin.oidc.*.domains":       "domains whose addresses may",
	"signin.oidc.*.claims":        "of the ID token: the values that do",

	"mail":                      "the mail server that the hub sends through",
	"mail.host":                 "its name",
	"mail.port":                 "by default 587",
	"mail.from":                 "the address that mails come from",
	"mail.hello":                "name given in EHLO, by default the domain of from",
	"mail.tls":                  "mandatory, or none to an address in egress.allow",
	"mail.full_to":              "verified domains, which may be sent content: full",
	"mail.rate":                 "mails a minute; 0 without limit",
	"mail.ca_file":              "path of PEM certificates to trust beside the system's",
	"mail.bounces":              "where mail servers report what they could not deliver",
	"mail.bounces.address":      "with one * where the token of each delivery goes",
	"mail.bounces.imap":         "the mailbox that reports arrive in",
	"mail.bounces.imap.host":    "its server",
	"mail.bounces.imap.port":    "by default 993",
	"mail.bounces.imap.mailbox": "by default INBOX",
	"mail.bounces.post":         "lets the mail server hand reports over by HTTP",
	"mail.bounces.post.token":   "which it shows",
	"sms":                       "the gateway for text messages",
	"sms.url":                   "its address",
	"sms.format":                "json or form",
	"sms.fields":                "what the gateway calls the parts of a message",
	"sms.fields.to":             "by default to",
	"sms.fields.text":           "by default text",
	"sms.fields.from":           "by default from",
	"sms.fields.id":             "of what is the same for each repeat",
	"sms.from":                  "number or name that messages come from",
	"sms.rate":                  "messages a minute; 0 without limit",
	"sms.auth":                  "how the hub signs in: bearer, or user and password",
	"sms.auth.bearer":           "a token",
	"sms.auth.user":             "a user",
	"sms.auth.password":         "the user's password",
}

// described are the words for the keys of hub.yaml.
func described() map[string]string {
	all := maps.Clone(hubSays)
	for _, at := range []string{"mail.auth", "mail.bounces.imap.auth"} {
		for key, says := range authSays {
			all[at+key] = says
		}
	}
	return all
}

// authSays are the words for a sign-in to a mail server, wherever it stands.
var authSays = map[string]string{
	"": "how the hub signs in", ".mechanism": "of SASL", ".user": "whom it signs in as", ".password": "by PLAIN, LOGIN or SCRAM",
	".token": "by XOAUTH2 or OAUTHBEARER", ".token_url": "where it fetches a token by OAuth2 client credentials", ".client_id": "at token_url",
	".client_secret": "at token_url", ".scopes": "to ask for", ".client_cert": "path of a PEM certificate, for EXTERNAL", ".client_key": "of client_cert",
}
