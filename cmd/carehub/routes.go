package main

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"carehub/events"
	"carehub/events/answers"
	"carehub/events/correct"
	"carehub/events/fhir"
	"carehub/events/hold"
	"carehub/events/intake"
	"carehub/events/page"
	"carehub/events/receipts"
	"carehub/subscribers/oauth"
	"carehub/subscribers/push"
	"carehub/subscribers/signin"
)

// routes is every URL of the hub, by the configuration that d has. draining is closed when these doors close.
func (h *hub) routes(d desk, draining <-chan struct{}) *doors {
	src := source{heldToo{h.archive, h.held, h.store.Full}, h.engine, h.returns, h.answers, h.held}
	viewer := receipts.Viewer{Source: src, Zone: d.Zone, Phones: d.Phones, Clock: time.Now}
	read := &receipts.Handler{Viewer: viewer, Authenticate: h.byToken, MaySee: d.maySee, Resolve: d.Resolve, Draining: draining, Log: h.log}
	write := &intake.Handler{Intake: h.intake, Receiver: h.receiver, Authenticate: h.byToken, Log: h.log, Answered: h.meter.answered,
		View: func(ctx context.Context, st events.Stored) (any, error) {
			view, err := viewer.View(ctx, st)
			if st.Record.Event.Has(events.FlagAuthorityEnded) && len(view.Recipients) > 0 { // it is passed on, but whoever logged it sees nothing new
				view.Recipients = []receipts.Recipient{}
				view.Message = "Saved, and passed on. Your authority to see who is told has ended."
			}
			return view, err
		}}
	letters := &receipts.Page{Links: h.links, Open: h.letter, Porter: porter{h.inboxes, h.signin.Session}, Answer: h.answerOf(src), Answered: answeredBy(src), Has: h.hasDocuments, Content: h.documentBehind, Writer: page.Writer{Hub: d.sender, Log: h.log},
		Zone: d.Zone, Clock: time.Now, Log: h.log}

	api := h.fhirAPI(d, src)

	mux := &doors{}
	mux.Handle("POST /events", write)
	mux.HandleFunc("GET /events", read.List)
	mux.HandleFunc("GET /events/{id}", read.Get)
	mux.HandleFunc("GET /events/{id}/stream", read.Stream)
	mux.Handle("POST /events/{id}/ack", &answers.Handler{Answers: h.answers, Authenticate: h.byToken, Row: h.answerable(d, src), Log: h.log})
	mux.Handle("POST /events/{id}/correct", &correct.Handler{Corrections: h.corrections, Authenticate: h.byToken, May: d.mayCorrect, MaySee: d.maySee,
		View: write.View, Log: h.log})
	mux.Handle("/m/{token}", letters)
	mux.HandleFunc("GET /m/{token}/document/{document}", letters.Document)
	mux.Handle("/inbox/{token}", h.inboxes)
	h.signin.Routes(mux.HandleFunc)
	h.phonePages(d, src, draining).Routes(mux.HandleFunc)
	h.timelinePages(d, src).Routes(mux.HandleFunc)
	h.consolePages(d, src, draining).Routes(mux.HandleFunc)
	push.Handler{Channel: d.channels.push, Required: h.signin.Required, Mark: signin.Mark, Log: h.log}.Routes(mux.HandleFunc)
	h.endpointDesk(d).routes(mux, h.byToken, draining, h.log)
	if door := h.returns.door(); door != nil {
		mux.Handle("POST /mail/bounces", door)
	}
	mux.HandleFunc("GET /fhir/metadata", h.metadata)
	mux.Handle("POST /fhir/$process-message", h.messages(d, src))
	api.Register(mux.HandleFunc)
	h.subscriptions.Routes(mux.HandleFunc)
	mux.Handle("POST "+oauth.TokenPath, h.oauth)
	mux.HandleFunc("GET /.well-known/smart-configuration", h.oauth.Configuration)
	mux.HandleFunc("GET /fhir/.well-known/smart-configuration", h.oauth.Configuration)
	mux.HandleFunc("/fhir/", api.Elsewhere(mux.allowed("/fhir/")))
	mux.HandleFunc("GET /healthz", h.healthz)
	mux.HandleFunc("GET /readyz", h.readyz)
	mux.Handle("GET /metrics", h.meter)
	return mux
}

// source joins the store and the engine for those who read.
type source struct {
	store interface {
		Find(ctx context.Context, id string) (events.Stored, error)
		Timeline(ctx context.Context, patient string, before events.Place, limit int) ([]events.Stored, error)
	}
	engine interface {
		Receipts(ctx context.Context, st events.Stored) ([]events.Receipt, error)
		Watch(event string) (changed <-chan struct{}, stop func())
	}
	// returned knows of mails of the archive's events that came back since.
	returned interface {
		correct(event string, r *events.Receipt)
	}
	answered *answers.Answers // nil: what was answered is not asked
	held     *hold.Keeper     // nil: what is held is not asked
}

func (s source) Find(ctx context.Context, id string) (events.Stored, error) {
	return s.store.Find(ctx, id)
}

// Receipts are the engine's, or of an event in the archive what it was put there with.
func (s source) Receipts(ctx context.Context, st events.Stored) ([]events.Receipt, error) {
	receipts, err := s.receipts(ctx, st)
	for i := range receipts {
		s.returned.correct(st.Record.Event.ID, &receipts[i])
	}
	if s.answered != nil {
		s.answered.Correct(st.Record.Event.ID, receipts)
	}
	for i := range receipts {
		if err == nil && receipts[i].Alarm != "" && !receipts[i].State.Told() {
			receipts[i].Heard, err = heard(ctx, receipts[i].Alarm, s.store.Find, s.outcomes)
		}
	}
	return receipts, err
}

func (s source) outcomes(ctx context.Context, st events.Stored) ([]events.Outcome, error) {
	receipts, err := s.Receipts(ctx, st)
	return events.Outcomes(receipts), err
}

func (s source) receipts(ctx context.Context, st events.Stored) ([]events.Receipt, error) {
	if s.held != nil && st.Place().IsZero() {
		if all, held := s.held.Receipts(st.Record.Event.ID); held {
			return all, nil
		}
		var err error // released since it was found
		if st, err = s.store.Find(ctx, st.Record.Event.ID); err != nil {
			return nil, err
		}
	}
	if st.Outcomes == nil {
		receipts, err := s.engine.Receipts(ctx, st)
		if err == nil {
			return receipts, nil
		}
		var failed error // it may have moved to the archive since it was found
		if st, failed = s.store.Find(ctx, st.Record.Event.ID); failed != nil || st.Outcomes == nil {
			return nil, err
		}
	}
	receipts := make([]events.Receipt, len(st.Record.Plan.Recipients))
	for i := range receipts {
		receipts[i].Recipient = st.Record.Plan.Recipients[i]
		if i < len(st.Outcomes) {
			receipts[i].Outcome = st.Outcomes[i]
		}
	}
	return receipts, nil
}

func (s source) Timeline(ctx context.Context, patient string, before events.Place, limit int) ([]events.Stored, error) {
	return s.store.Timeline(ctx, patient, before, limit)
}

func (s source) Watch(id string) (<-chan struct{}, func()) { return s.engine.Watch(id) }

// letter returns the message that a recipient's link opens, as long as the recipient is registered.
func (h *hub) letter(ctx context.Context, event, recipient string) (fhir.Message, error) {
	st, err := h.archive.Find(ctx, event)
	if err != nil {
		return fhir.Message{}, err
	}
	named := slices.ContainsFunc(st.Record.Plan.Recipients, func(r events.Recipient) bool { return r.ID == recipient })
	if !named || !h.desk().mayBeTold(&st.Record, recipient) {
		return fhir.Message{}, &events.Error{Kind: events.NotFound, Message: "There is no such page."}
	}
	return h.newest(ctx, st, recipient)
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client has gone
}
