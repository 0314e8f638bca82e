package signin

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"carehub/events"
	"carehub/events/page"
)

//go:embed passkey.js
var passkeyScript []byte

const (
	scriptPath = "/signin/passkey.js"
	maxPasskey = 64 << 10 // bytes of what a browser says of one
	maxKeys    = 20       // of one carer
)

// The purposes of the tickets of the two ceremonies.
const (
	adding = "passkey-new"
	asking = "passkey"
)

// passkey is the record of a passkey. There is no secret in it: what signs stays in the phone. The shape is a promise; that of the
// credential is the library's, which reads its older ones.
type passkey struct {
	V          int                 `json:"v"`
	ID         string              `json:"id"`     // of the carer
	Device     string              `json:"device"` // that made it
	Created    time.Time           `json:"created"`
	Seen       time.Time           `json:"seen"` // when it was last used
	Credential webauthn.Credential `json:"credential"`
}

// passkeyRoutes are the addresses of passkeys.
func (s *Service) passkeyRoutes(handle func(pattern string, h func(http.ResponseWriter, *http.Request))) {
	handle("GET "+scriptPath, s.script)
	handle("GET /signin/passkey", s.Required(s.offer))
	handle("POST /signin/passkey/options", s.Required(s.addOptions))
	handle("POST /signin/passkey/add", s.Required(s.add))
	handle("POST /signin/passkey/challenge", s.challenge)
	handle("POST /signin/passkey", s.bySignature)
}

func (s *Service) script(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(passkeyScript)
}

// scripts are those of a page that has to do with passkeys, where the hub can have any.
func (s *Service) scripts() []string {
	if s.party() == nil {
		return nil
	}
	return []string{scriptPath}
}

// party is the hub as its passkeys know it, by the host of its url; nil where browsers allow none: without TLS, or at a bare
// address (WebAuthn Level 3, 5.1.2).
func (s *Service) party() *webauthn.WebAuthn {
	hub := s.Hub()
	u, err := url.Parse(hub.URL)
	if err != nil {
		return nil
	}
	host := u.Hostname()
	_, address := netip.ParseAddr(host)
	if address == nil || u.Scheme != "https" && host != "localhost" {
		return nil
	}
	party, err := webauthn.New(&webauthn.Config{RPID: host, RPDisplayName: hub.Name, RPOrigins: []string{u.Scheme + "://" + u.Host},
		AttestationPreference: protocol.PreferNoAttestation})
	if err != nil {
		s.Log.Warn("no passkeys at this url", "error", err.Error())
		return nil
	}
	return party
}

// holder is a carer as the library asks for one.
type holder struct {
	id   []byte
	name string
	keys []webauthn.Credential
}

func (h holder) WebAuthnID() []byte                         { return h.id }
func (h holder) WebAuthnName() string                       { return h.name }
func (h holder) WebAuthnDisplayName() string                { return h.name }
func (h holder) WebAuthnCredentials() []webauthn.Credential { return h.keys }

// holder is a carer with their passkeys. What phones and their makers keep as the carer's id tells nobody who it is.
func (s *Service) holder(p events.Person) holder {
	h := holder{id: []byte(s.mac("passkey holder", p.ID)), name: p.Name}
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, key := range s.passkeys {
		if key.ID == p.ID {
			h.keys = append(h.keys, key.Credential)
		}
	}
	return h
}

// MayOffer reports whether a carer could have a passkey here and has none yet.
func (s *Service) MayOffer(by events.Actor) bool {
	p, ok := s.Person(by.ID)
	return ok && by.Kind == events.Carer && s.party() != nil && len(s.holder(p).keys) == 0
}

// offer is the page that offers a passkey.
func (s *Service) offer(w http.ResponseWriter, r *http.Request, who page.Session) {
	if s.party() == nil || who.Actor.Kind != events.Carer {
		page.Redirect(w, "/")
		return
	}
	s.show(w, r, http.StatusOK, page.Content{Title: s.say(r, "offer.title"), Session: who, Scripts: s.scripts(), Body: body{Form: "offer"}})
}

// addOptions is the first step to a passkey.
func (s *Service) addOptions(w http.ResponseWriter, _ *http.Request, who page.Session) {
	party := s.party()
	p, ok := s.Person(who.Actor.ID)
	h := s.holder(p)
	if party == nil || who.Actor.Kind != events.Carer || !ok || len(h.keys) >= maxKeys {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	options, state, err := party.BeginRegistration(h, webauthn.WithExclusions(webauthn.Credentials(h.keys).CredentialDescriptors()),
		webauthn.WithAuthenticatorSelection(protocol.AuthenticatorSelection{
			ResidentKey: protocol.ResidentKeyRequirementRequired, RequireResidentKey: protocol.ResidentKeyRequired(), UserVerification: protocol.VerificationPreferred}))
	s.answer(w, adding, options, state, err)
}

// challenge is the first step of signing in by a passkey.
func (s *Service) challenge(w http.ResponseWriter, _ *http.Request) {
	party := s.party()
	if party == nil {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	options, state, err := party.BeginDiscoverableLogin(webauthn.WithUserVerification(protocol.VerificationPreferred))
	s.answer(w, asking, options, state, err)
}

func (s *Service) answer(w http.ResponseWriter, purpose string, options any, state *webauthn.SessionData, err error) {
	var body []byte
	if err == nil {
		err = s.hand(w, purpose, state)
	}
	if err == nil {
		body, err = json.Marshal(options)
	}
	if err != nil {
		s.Log.Error("passkey", "error", err.Error())
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(body)
}

// add keeps the passkey that a carer's phone has made.
func (s *Service) add(w http.ResponseWriter, r *http.Request, who page.Session) {
	var state webauthn.SessionData
	party := s.party()
	p, ok := s.Person(who.Actor.ID)
	if party == nil || who.Actor.Kind != events.Carer || !ok || !s.claim(w, r, adding, &state) {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxPasskey)
	made, err := party.FinishRegistration(s.holder(p), state, r)
	if err != nil {
		s.Log.Warn("passkey refused", "carer", p.ID, "reason", reason(err))
		w.WriteHeader(http.StatusForbidden)
		return
	}
	made.Attestation = webauthn.CredentialAttestation{} // nobody judges the maker of the phone
	now := s.now()
	err = s.put(r.Context(), keyOf(made.ID), passkey{V: recordVersion, ID: p.ID, Device: device(r.UserAgent()), Created: now, Seen: now, Credential: *made}, 0)
	if err != nil {
		s.Log.Error("a passkey could not be kept", "error", err.Error())
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	s.Log.Info("passkey added", "carer", p.ID)
	w.WriteHeader(http.StatusNoContent)
}

// errUnknown: a passkey that the hub does not know, or not as this carer's.
var errUnknown = errors.New("unknown passkey")

// bySignature signs in whoever has the phone's lock open.
func (s *Service) bySignature(w http.ResponseWriter, r *http.Request) {
	var state webauthn.SessionData
	party := s.party()
	if party == nil || !s.claim(w, r, asking, &state) {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxPasskey)
	var id string
	_, used, err := party.FinishPasskeyLogin(func(raw, handle []byte) (webauthn.User, error) {
		h, carer, err := s.whose(raw, handle)
		id = carer
		return h, err
	}, state, r)
	if err != nil || used.Authenticator.CloneWarning {
		s.Log.Warn("sign-in refused", "by", "passkey", "reason", reason(err))
		w.WriteHeader(http.StatusForbidden)
		return
	}
	secret, err := s.admit(r.Context(), r, id, state.Challenge, used)
	switch {
	case errors.Is(err, errUsed) || errors.Is(err, errUnknown):
		s.Log.Warn("sign-in refused", "by", "passkey", "reason", err.Error())
		w.WriteHeader(http.StatusForbidden)
	case err != nil:
		s.Log.Error("nobody can sign in just now", "error", err.Error())
		w.WriteHeader(http.StatusServiceUnavailable)
	default:
		s.Log.Info("signed in", "carer", id, "by", "passkey")
		s.record(r, Entry{By: events.Actor{Kind: events.Carer, ID: id}, How: "passkey"})
		s.keep(w, secret, SessionLife)
		w.WriteHeader(http.StatusNoContent)
	}
}

// whose finds the carer of a passkey: one who is registered, and whom the phone takes itself to belong to.
func (s *Service) whose(raw, handle []byte) (holder, string, error) {
	s.mu.RLock()
	key, ok := s.passkeys[hashOf(string(raw))]
	s.mu.RUnlock()
	if !ok {
		return holder{}, "", errUnknown
	}
	p, ok := s.Person(key.ID)
	if h := s.holder(p); ok && bytes.Equal(h.id, handle) {
		return h, p.ID, nil
	}
	return holder{}, "", errUnknown
}

// admit notes that a challenge was answered, which is good once, and what the passkey's counter stands at, and opens a session.
func (s *Service) admit(ctx context.Context, r *http.Request, id, challenge string, used *webauthn.Credential) (secret string, err error) {
	err = s.put(ctx, spentKey+hashOf(challenge), spent{recordVersion, s.now()}, 0)
	if events.KindOf(err) == events.Conflict {
		return "", errUsed
	}
	if err != nil {
		return "", err
	}
	value, revision, ok, err := s.Store.HubGet(ctx, keyOf(used.ID))
	if err != nil {
		return "", err
	}
	var key passkey
	if !ok || json.Unmarshal(value, &key) != nil || key.ID != id { // it was revoked just now
		return "", errUnknown
	}
	key.Credential.Authenticator.SignCount, key.Credential.Flags, key.Seen = used.Authenticator.SignCount, used.Flags, s.now()
	if err := s.put(ctx, keyOf(used.ID), key, revision); events.KindOf(err) == events.Conflict {
		return "", errUsed
	} else if err != nil {
		return "", err
	}
	now := s.now()
	return s.begin(ctx, session{ID: id, Device: device(r.UserAgent()), Created: now, Seen: now})
}

func keyOf(credential []byte) string { return passkeyKey + hashOf(string(credential)) }

// reason is why the library refused something, in its fixed words: the details have what the browser sent.
func reason(err error) string {
	var refused *protocol.Error
	switch {
	case err == nil:
		return "the counter went back: there may be a copy"
	case errors.As(err, &refused):
		return refused.Type
	}
	return fmt.Sprintf("%T", err)
}
