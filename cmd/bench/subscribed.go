package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"strconv"
	"strings"

	"carehub/events"
)

var subscribed = measurement{name: "subscriptions", title: "1,000 FHIR Subscriptions, of which 10 are dead and 20 hang", run: measureSubscribed,
	about: "Of each of 250 patients four of them are told, by a filter; 25 events a second for 20 seconds. How long a notification takes to one of " +
		"the 970 that are well, while the others are well too, and then, at the same hub, while 10 close each connection without an answer " +
		"and 20 take each notification and never answer. Four share an address. Medians of three rounds."}

// perPatient is how many Subscriptions there are for each patient.
const perPatient = 4

func measureSubscribed(ctx context.Context, b *bench) ([]figure, error) {
	all, dead, hanging := 1000, 10, 20
	if b.quick {
		all, dead, hanging = 48, 2, 3
	}
	var wells, ills []outcome
	for n := range min(b.rounds, 3) {
		well, ill, err := b.subscriptions(ctx, all, dead, hanging)
		if err != nil {
			return nil, err
		}
		wells, ills = append(wells, well), append(ills, ill)
		fmt.Printf("round %d: all well %s, %d dead and %d hanging %s\n", n+1, well.spread(), dead, hanging, ill.spread())
	}
	figures := []figure{
		compare("a notification to one of the others, p99", "ms", ills, wells, arrival(99)).atMost(2),
		compare("a notification to one of the others, p50", "ms", ills, wells, arrival(50)),
	}
	for n := range figures {
		figures[n].Than = "all well"
	}
	return figures, nil
}

// subscriptions times notifications to those that are well, first while all are and then while some are not.
func (b *bench) subscriptions(ctx context.Context, all, dead, hanging int) (well, ill outcome, err error) {
	patients := all / perPatient
	sc, err := b.stage(ctx, town{receivers: all, subscribed: true}.with(patients))
	if err != nil {
		return well, ill, err
	}
	defer sc.end()
	if err := sc.subscribe(ctx, b.carehub); err != nil {
		return well, ill, err
	}
	others := firstOf(all)[dead+hanging:]
	t := trial{pace: pace{Rate: 25, Events: 2 * patients}, of: others, timed: true, each: true, share: patients}
	if well, err = sc.run(t); err != nil {
		return well, ill, err
	}
	for do, of := range map[string][]int{"break": firstOf(dead), "hang": firstOf(dead + hanging)[dead:]} {
		if err := sc.receivers.ask(wish{Do: do, Of: of}, nil); err != nil {
			return well, ill, err
		}
	}
	if ill, err = sc.run(t); err != nil {
		return well, ill, err
	}
	return well, ill, sc.receivers.ask(wish{Do: "release"}, nil) // so that the hub need not wait for it in order to stop
}

// subscribe makes a Subscription for each receiver, and waits until all have shaken hands.
func (sc *scene) subscribe(ctx context.Context, carehub string) error {
	token, err := exec.CommandContext(ctx, carehub, "token", "create", "--system", "team", "--dir", sc.hub.dir).Output() // #nosec G204 -- our own program
	if err != nil {
		return fmt.Errorf("make a token: %w", err)
	}
	ids := map[string]string{}
	for n := range sc.town.receivers {
		id, err := sc.hub.subscribe(ctx, strings.TrimSpace(string(token)), fmt.Sprintf("http://%s/r%d", sc.addresses[n%len(sc.addresses)], n), patient(n/perPatient))
		if err != nil {
			return err
		}
		ids[fmt.Sprint("r", n)] = id
	}
	sc.deliveryID = func(event, recipient string) string {
		if n, err := strconv.Atoi(recipient[1:]); err != nil || events.PatientOf(event) != patient(n/perPatient) {
			return ""
		}
		return events.UUID("request", events.DeliveryID(event, ids[recipient]))
	}
	if err := sc.receivers.ask(wish{Do: "await", Each: 1}, nil); err != nil {
		return err
	}
	return sc.receivers.ask(wish{Do: "forget"}, nil)
}

// subscribe makes a Subscription to everything about a patient.
func (h *hub) subscribe(ctx context.Context, token, endpoint, about string) (id string, err error) {
	const backport = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/"
	body, err := json.Marshal(map[string]any{"resourceType": "Subscription", "status": "requested", "reason": "Bench",
		"criteria":  "http://" + h.address + "/fhir/SubscriptionTopic/any",
		"_criteria": map[string]any{"extension": []any{map[string]any{"url": backport + "backport-filter-criteria", "valueString": "Encounter?patient=" + about}}},
		"channel": map[string]any{"type": "rest-hook", "endpoint": endpoint, "payload": "application/fhir+json",
			"_payload": map[string]any{"extension": []any{map[string]any{"url": backport + "backport-payload-content", "valueCode": "full-resource"}}}}})
	if err != nil {
		return "", err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+h.address+"/fhir/Subscription", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/fhir+json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var made struct{ ID string }
	err = json.NewDecoder(resp.Body).Decode(&made)
	if resp.StatusCode != http.StatusCreated {
		err = errors.Join(err, fmt.Errorf("subscribe: status %d", resp.StatusCode))
	}
	return made.ID, err
}
