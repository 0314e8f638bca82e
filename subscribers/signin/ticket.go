package signin

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// ticketLife is how long somebody has for the way from the first step of signing in to the last.
const ticketLife = 10 * time.Minute

// ticket is what a browser carries from one step of signing in to the next, in a cookie that the hub has signed: whichever hub
// the next request comes to can read it, and it is good for the browser that took the first step only.
type ticket struct {
	Until time.Time       `json:"until"`
	Data  json.RawMessage `json:"data"`
}

// spent is the record of a ticket that was used and must not be again. The shape is a promise.
type spent struct {
	V  int       `json:"v"`
	At time.Time `json:"at"`
}

func (s spent) good(now time.Time) bool { return now.Before(s.At.Add(ticketLife)) }

// hand gives a browser a ticket.
func (s *Service) hand(w http.ResponseWriter, purpose string, data any) error {
	inner, err := json.Marshal(data)
	if err != nil {
		return err
	}
	outer, err := json.Marshal(ticket{s.now().Add(ticketLife), inner})
	if err != nil {
		return err
	}
	text := base64.RawURLEncoding.EncodeToString(outer)
	s.setTicket(w, purpose, text+"."+s.mac("ticket "+purpose, text), ticketLife)
	return nil
}

// claim reads the ticket of a request into data, and takes it from the browser.
func (s *Service) claim(w http.ResponseWriter, r *http.Request, purpose string, data any) bool {
	for _, c := range r.CookiesNamed(s.ticketName(purpose)) {
		if s.readTicket(c.Value, purpose, data) {
			s.setTicket(w, purpose, "", -time.Second)
			return true
		}
	}
	return false
}

func (s *Service) readTicket(value, purpose string, data any) bool {
	text, proof, _ := strings.Cut(value, ".")
	if !same(proof, s.mac("ticket "+purpose, text)) {
		return false
	}
	outer, err := base64.RawURLEncoding.DecodeString(text)
	var t ticket
	if err != nil || json.Unmarshal(outer, &t) != nil || !s.now().Before(t.Until) {
		return false
	}
	return json.Unmarshal(t.Data, data) == nil
}

func (s *Service) ticketName(purpose string) string { return s.cookieName() + "-" + purpose }

func (s *Service) setTicket(w http.ResponseWriter, purpose, value string, life time.Duration) {
	http.SetCookie(w, &http.Cookie{Name: s.ticketName(purpose), Value: value, Path: "/", MaxAge: int(life.Seconds()), HttpOnly: true,
		Secure: s.secure(), SameSite: http.SameSiteLaxMode})
}
