package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"carehub/config/strict"
	"carehub/events"
	"carehub/events/fhir"
	"carehub/events/intake"
	"carehub/events/receipts"
	"carehub/subscribers"
	"carehub/subscribers/egress"
	"carehub/subscribers/webhook"
)

// triggerCommand is carehub trigger: something to receive, marked as a test wherever it goes.
func triggerCommand() *cobra.Command {
	var hub hubFlags
	var to, secretFile, format, patient string
	cmd := &cobra.Command{
		Use: "trigger KIND", Short: "Send a sample message to a webhook, or log a test event", Args: cobra.ExactArgs(1),
		Long: "With --to, challenge a webhook and send it a signed sample message about an invented patient, as a hub would.\n" +
			"With --patient, log a test event at a hub: it goes to everybody who would be told, marked as a test.",
		Example: "  carehub trigger admission --to http://127.0.0.1:4242/ --secret-file secret\n  carehub trigger fall --patient dad --token-file ruth.token",
		RunE: func(cmd *cobra.Command, args []string) error {
			kind := events.Kind(args[0])
			if !slices.Contains(events.Kinds, kind) {
				var kinds []string
				for _, k := range events.Kinds {
					kinds = append(kinds, string(k))
				}
				return misused(fmt.Sprintf("%q is no kind of event: %s%s", args[0], strings.Join(kinds, ", "), strict.DidYouMean(args[0], kinds)))
			}
			switch {
			case (to == "") == (patient == ""):
				return misused("give --to URL, or --patient WHO")
			case to == "":
				return logTest(cmd.Context(), cmd.OutOrStdout(), hub, patient, kind)
			case secretFile == "":
				return misused("--to needs --secret-file: a webhook is always signed")
			}
			secret, err := secretOf(secretFile)
			if err != nil {
				return err
			}
			return sendSample(cmd.Context(), cmd.OutOrStdout(), to, secret, format, kind)
		},
	}
	hub.add(cmd)
	cmd.Flags().StringVar(&to, "to", "", "URL of a webhook")
	cmd.Flags().StringVar(&secretFile, "secret-file", "", "file that holds the webhook's secret")
	cmd.Flags().StringVar(&format, "format", "fhir", "fhir, cloudevents or thin")
	cmd.Flags().StringVar(&patient, "patient", "", "whom a test event is about")
	return cmd
}

// logTest logs a test event.
func logTest(ctx context.Context, out io.Writer, hub hubFlags, patient string, kind events.Kind) error {
	c, err := hub.client()
	if err != nil {
		return err
	}
	req, err := c.request(ctx, http.MethodPost, "/events", intake.Request{Patient: patient, Kind: kind, Test: true})
	if err != nil {
		return err
	}
	req.Header.Set("Idempotency-Key", rand.Text())
	var saved receipts.View
	if err := c.do(req, &saved); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s\n%s\n", saved.ID, saved.Message)
	return nil
}

// sendSample does with a webhook what a hub would do, once.
func sendSample(ctx context.Context, out io.Writer, to, secret, format string, kind events.Kind) error {
	guard := egress.New([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")})
	client := guard.Client(nil)
	defer client.CloseIdleConnections()
	e, err := webhook.New(client, webhook.Options{Version: version, AllowPlain: guard.AllowPlain, MayDial: guard.MayDial}).At(to, secret, format)
	if wrong, ok := errors.AsType[*subscribers.FieldError](err); ok {
		return misused(map[string]string{"url": "--to", "secret": "--secret-file", "format": "--format"}[wrong.Field] + " " + wrong.Message)
	}
	if err != nil {
		return err
	}
	d, err := sampleDelivery(kind)
	if err != nil {
		return err
	}
	var reply events.Reply
	heard := func(r events.Reply) { reply = r }
	if err := e.(subscribers.Verifiable).Verify(ctx, d.Recipient, d.Channel, heard); err != nil {
		fmt.Fprintf(out, "challenge: %v. A hub would send it nothing.\n", err)
		return exitError{1, ""}
	}
	fmt.Fprintln(out, "challenge: echoed")
	d.Answered = heard
	if err := e.Send(ctx, d); err != nil {
		fmt.Fprintf(out, "%s: %v\n", d.ID, err)
		return exitError{1, ""}
	}
	fmt.Fprintf(out, "%s: taken (%d)\n", d.ID, reply.Status)
	return nil
}

// sampleDelivery is a message about an invented patient, marked as a test (hazard: test data taken as real).
func sampleDelivery(kind events.Kind) (events.Delivery, error) {
	const hub = "https://hub.example"
	by, now := events.Actor{Kind: events.Carer, ID: "ruth"}, time.Now().UTC().Truncate(time.Millisecond)
	e := events.Event{ID: events.NewID(by, "p-7f3k", rand.Text()), Patient: "p-7f3k", Kind: kind, Occurred: now.Add(-20 * time.Minute), Recorded: now,
		By: by, Place: "Riverside Hospital", Words: "This is a test. Nothing has happened.", Test: true}
	if kind.OpensStay() || kind == events.Discharge {
		e.Stay = e.ID
	}
	message, err := fhir.Encode(fhir.Message{Event: e, Patient: events.Patient{ID: e.Patient, Name: "Thomas Example", Born: "1941-03-11", NHSNumber: "9990000018"},
		By: events.Person{ID: by.ID, Kind: by.Kind, Name: "Ruth Example", Relationship: "daughter"}, Urgency: events.Urgent,
		Hub: events.Sender{Name: "A test hub", URL: hub, Phone: "+44 7700 900123", Version: version}})
	if err != nil {
		return events.Delivery{}, err
	}
	const to = "your-system"
	envelope, err := fhir.Open(message, e.ID)
	if err == nil {
		message, err = envelope.To(fhir.Destination{Recipient: to, Name: "Your system", Endpoint: hub + "/id/subscriber/" + to})
	}
	return events.Delivery{ID: events.DeliveryID(e.ID, to), Event: e.ID, Ref: events.Ref(e.ID), Kind: kind, Urgent: true, Test: true, Recipient: to,
		Channel: "webhook", Name: "Your system", Recorded: now, Attempt: 1, Message: message, Hub: hub}, err
}
