package signup

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestRefused has what may not be asked for. Nothing is stored of it, and no answer holds what was sent.
func TestRefused(t *testing.T) {
	w := newWorld(t)
	filter := func(text string) []string {
		return []string{`any",`, `any","_criteria":{"extension":[{"url":"` + filterExtension + `","valueString":"` + text + `"}]},`}
	}
	times := func(name, value string) []string {
		return []string{`"type":"rest-hook"`, `"type":"rest-hook","extension":[{"url":"` + backport + name + `",` + value + `}]`}
	}
	endpoint := func(url string) []string { return []string{"https://gp.example/hook", url} }
	header := func(h string) []string { return []string{`"payload"`, `"header":["` + h + `"],"payload"`} }
	for name, c := range map[string]struct {
		replace []string
		status  int
		says    string
	}{
		"not JSON":             {[]string{`{"resourceType"`, `"resourceType"`}, 422, "JSON"},
		"another resource":     {[]string{`"Subscription"`, `"Patient"`}, 422, "resourceType"},
		"a member twice":       {[]string{`"reason":"Ours"`, `"reason":"Ours","reason":"Yours"`}, 422, "twice"},
		"a member null":        {[]string{`"reason":"Ours"`, `"reason":null`}, 422, "reason"},
		"no reason":            {[]string{`"reason":"Ours",`, ``}, 422, "reason"},
		"wrong type":           {[]string{`"reason":"Ours"`, `"reason":7`}, 422, "reason"},
		"another case":         {[]string{`"reason":`, `"Reason":`}, 422, "element"},
		"unknown element":      {[]string{`"reason":`, `"topic":"x","reason":`}, 422, "element"},
		"modifier":             {[]string{`"reason":`, `"modifierExtension":[],"reason":`}, 422, "modifierExtension"},
		"channel's modifier":   {[]string{`"payload"`, `"modifierExtension":[],"payload"`}, 422, "modifierExtension"},
		"implicit rules":       {[]string{`"reason":`, `"implicitRules":"https://x.example","reason":`}, 422, "implicitRules"},
		"active at once":       {[]string{`"requested"`, `"active"`}, 422, "requested"},
		"off at once":          {[]string{`"requested"`, `"off"`}, 422, "requested"},
		"unknown status":       {[]string{`"requested"`, `"on"`}, 422, "status"},
		"unknown topic":        {[]string{`/any"`, `/birth"`}, 422, "criteria"},
		"topic of another hub": {[]string{`https://hub.example/fhir`, `https://other.example/fhir`}, 422, "criteria"},
		"a query as criteria":  {[]string{`https://hub.example/fhir/SubscriptionTopic/any`, `Encounter?status=in-progress`}, 422, "criteria"},
		"email":                {[]string{`rest-hook`, `email`}, 422, "rest-hook"},
		"message":              {[]string{`rest-hook`, `message`}, 422, "rest-hook"},
		"websocket":            {[]string{`rest-hook`, `websocket`}, 422, "rest-hook"},
		"a channel type of their own": {[]string{`"type":"rest-hook"`, `"type":"rest-hook","_type":{"extension":[{"url":"` + channelExtension + `"}]}`},
			422, "rest-hook"},
		"no payload level":       {[]string{`"valueCode":"id-only"`, `"valueCode":"id_only"`}, 422, "payload"},
		"unknown payload level":  {[]string{`"valueCode":"id-only"`, `"valueCode":"everything"`}, 422, "payload"},
		"XML":                    {[]string{`application/fhir+json`, `application/fhir+xml`}, 422, "payload"},
		"http":                   {endpoint("http://gp.example/hook"), 422, "https"},
		"ftp":                    {endpoint("ftp://gp.example/hook"), 422, "https"},
		"a password in the URL":  {endpoint("https://me:secret@gp.example/"), 422, "password"},
		"a fragment":             {endpoint("https://gp.example/#x"), 422, "fragment"},
		"a private network":      {endpoint("https://private.example/hook"), 422, "network"},
		"framing headers":        {header("Content-Length: 7"), 422, "content-length"},
		"the host header":        {header("Host: secret.example"), 422, "host"},
		"two headers in one":     {header(`X-A: b\r\nHost: secret.example`), 422, "header"},
		"a header's bad name":    {header("X A: b"), 422, "header"},
		"no value":               {header("Authorization"), 422, "header"},
		"a mask for nothing":     {header("Authorization: ***"), 422, "header"},
		"filter of something":    {filter("Encounter?status=in-progress"), 422, "filter"},
		"filter of a resource":   {filter("Patient?patient=p-7f3k"), 422, "filter"},
		"filter with a modifier": {filter("Encounter?class:not=IMP"), 422, "filter"},
		"filter by a word":       {filter("secret"), 422, "filter"},
		"no such class":          {filter("Encounter?class=INPATIENT"), 422, "class"},
		"class of a condition":   {filter("Condition?class=IMP"), 422, "filter"},
		"a patient twice":        {filter("Encounter?patient=p-7f3k&patient=p-22"), 422, "twice"},
		"another's patient":      {filter("Encounter?patient=Patient/p-33"), 403, "not told"},
		"nobody's patient":       {filter("Encounter?patient=Patient/p-99"), 403, "not told"},
		"own and another's":      {filter("Encounter?patient=p-7f3k,p-33"), 403, "not told"},
		"heartbeat too often":    {times("backport-heartbeat-period", `"valueUnsignedInt":1`), 422, "heartbeat"},
		"heartbeat of a word":    {times("backport-heartbeat-period", `"valueString":"60"`), 422, "heartbeat"},
		"heartbeat below 0":      {times("backport-heartbeat-period", `"valueUnsignedInt":-60`), 422, "heartbeat"},
		"timeout 0":              {times("backport-timeout", `"valueUnsignedInt":0`), 422, "timeout"},
		"max-count 0":            {times("backport-max-count", `"valuePositiveInt":0`), 422, "max-count"},
		"end has passed":         {[]string{`"reason":`, `"end":"2001-01-01T00:00:00Z","reason":`}, 422, "end"},
		"end is no time":         {[]string{`"reason":`, `"end":"tomorrow","reason":`}, 422, "end"},
		"too large":              {[]string{`Ours`, strings.Repeat("x", MaxBody)}, 413, "large"},
	} {
		rec := w.ask("gp", "POST", "/fhir/Subscription", wanted(c.replace...))
		if body := rec.Body.String(); rec.Code != c.status || !strings.Contains(body, "OperationOutcome") || !strings.Contains(body, c.says) {
			t.Errorf("%s: %d %s", name, rec.Code, body)
		} else if strings.Contains(body, "secret") || strings.Contains(body, "private.example") || strings.Contains(body, "p-33") {
			t.Errorf("%s: the answer repeats what was sent: %s", name, body)
		}
	}
	if len(w.Of("gp")) != 0 {
		t.Errorf("%d Subscriptions were stored", len(w.Of("gp")))
	}
	mine, nobodys := w.ask("gp", "POST", "/fhir/Subscription", wanted(filter("Encounter?patient=p-33")...)), w.ask("gp", "POST", "/fhir/Subscription",
		wanted(filter("Encounter?patient=p-99")...))
	if mine.Body.String() != nobodys.Body.String() || !reflect.DeepEqual(mine.Header(), nobodys.Header()) {
		t.Error("the answers tell a patient that exists from one that does not")
	}
}

// TestComesBack makes sure that a Subscription is read as it was sent, but for what is the hub's to say and what is secret.
func TestComesBack(t *testing.T) {
	w := newWorld(t)
	sent := `{"resourceType":"Subscription","id":"theirs","meta":{"profile":["http://x.example/p"],"tag":[{"code":"a"}]},"language":"en",` +
		`"text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">a &amp; b</div>"},"extension":[{"url":"https://gp.example/x","valueDecimal":1.50}],` +
		`"status":"requested","_status":{"extension":[{"url":"https://gp.example/s","valueBoolean":true}]},"contact":[{"system":"phone","value":"1"}],` +
		`"end":"2999-12-31T00:00:00+01:00","_end":{"id":"e"},"reason":"Müller & <Söhne>","_reason":{"extension":[{"url":"https://gp.example/r","valueString":"\u2028"}]},` +
		`"criteria":"http://hl7.org/SubscriptionTopic/admission","_criteria":{"extension":[{"url":"` + filterExtension + `","valueString":"Encounter?patient=Patient/p-7f3k&class=IMP,AMB"},` +
		`{"url":"https://gp.example/c","valueInteger":9007199254740993}]},"channel":{"id":"c","extension":[{"url":"` + heartbeatPeriod + `","valueUnsignedInt":60},` +
		`{"url":"` + maxCount + `","valuePositiveInt":20}],"type":"rest-hook","_type":{"extension":[{"url":"https://gp.example/t","valueCode":"z"}]},"endpoint":"https://gp.example/hook?a=b",` +
		`"payload":"application/fhir+json","_payload":{"extension":[{"url":"` + contentExtension + `","valueCode":"full-resource"}]},` +
		`"header":["Authorization: Bearer top-secret","X-Key:also-secret"]}}`
	id := w.subscribe(sent)
	rec := w.ask("gp", "GET", "/fhir/Subscription/"+id, "")
	var want, got map[string]any
	for text, into := range map[string]*map[string]any{sent: &want, rec.Body.String(): &got} {
		dec := json.NewDecoder(strings.NewReader(text))
		dec.UseNumber()
		if err := dec.Decode(into); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
	}
	want["id"] = id
	meta := got["meta"].(map[string]any)
	want["meta"].(map[string]any)["versionId"], want["meta"].(map[string]any)["lastUpdated"] = "1", meta["lastUpdated"]
	want["channel"].(map[string]any)["header"] = []any{"Authorization: ***", "X-Key: ***"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if strings.Contains(rec.Body.String()+w.logs.String(), "secret") {
		t.Error("a header's value was shown or logged")
	}
	set := w.Get(id).Set
	if set.MaxCount != 20 || set.Heartbeat.Seconds() != 60 || set.Topic != "admission" || len(set.filters) != 1 || set.Content != Full {
		t.Errorf("understood %+v", set)
	}

	// What was read can be sent back: the secrets stay.
	again := w.ask("gp", "PUT", "/fhir/Subscription/"+id, rec.Body.String(), "If-Match", `W/"1"`)
	if headers := w.Get(id).Set.Headers; again.Code != 200 || headers[0] != "Authorization: Bearer top-secret" || headers[1] != "X-Key:also-secret" {
		t.Errorf("%d %s, headers %q", again.Code, again.Body, headers)
	}
}

// TestEverybodyElse has every door tried by those whose Subscription it is not.
func TestEverybodyElse(t *testing.T) {
	w := newWorld(t)
	id := w.subscribe(wanted())
	nothing := w.ask("hospice", "GET", "/fhir/Subscription/sub-aaaaaaaaaaaaaaaaaaaaaaaaaa", "")
	for _, route := range []string{"GET /fhir/Subscription/ID", "PUT /fhir/Subscription/ID", "DELETE /fhir/Subscription/ID",
		"GET /fhir/Subscription/ID/$status", "POST /fhir/Subscription/ID/$status", "GET /fhir/Subscription/ID/$events", "POST /fhir/Subscription/ID/$events"} {
		method, path, _ := strings.Cut(strings.ReplaceAll(route, "ID", id), " ")
		for who, want := range map[string]int{"hospice": 404, "unregistered": 403, "ruth": 403, "": 401} {
			rec := w.ask(who, method, path, wanted())
			if rec.Code != want || strings.Contains(rec.Body.String(), "gp") {
				t.Errorf("%s as %q: %d %s", route, who, rec.Code, rec.Body)
			}
			if want == 404 && rec.Body.String() != nothing.Body.String() {
				t.Errorf("%s: what is another's is told from what is not: %s", route, rec.Body)
			}
		}
	}
	for _, route := range []string{"GET /fhir/Subscription", "POST /fhir/Subscription/_search", "GET /fhir/Subscription/$status", "GET /fhir/Subscription/$status?id=" + id,
		"GET /fhir/Subscription?_id=" + id} {
		method, path, _ := strings.Cut(route, " ")
		if rec := w.ask("hospice", method, path, ""); rec.Code != 200 || strings.Contains(rec.Body.String(), `"entry"`) {
			t.Errorf("%s: %d %s", route, rec.Code, rec.Body)
		}
	}
	if w.Get(id) == nil || w.Get(id).Version != 1 {
		t.Error("it was changed")
	}
}

func TestVersions(t *testing.T) {
	w := newWorld(t)
	id := w.subscribe(wanted())
	path := "/fhir/Subscription/" + id
	if rec := w.ask("gp", "GET", path, "", "If-None-Match", `W/"1"`); rec.Code != http.StatusNotModified || rec.Body.Len() > 0 {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	body := wanted(`{"resourceType":"Subscription"`, `{"resourceType":"Subscription","id":"`+id+`"`, "Ours", "Still ours")
	if rec := w.ask("gp", "PUT", path, body, "If-Match", `W/"7"`); rec.Code != http.StatusPreconditionFailed {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	if rec := w.ask("gp", "PUT", path, wanted()); rec.Code != 422 {
		t.Errorf("without an id: %d %s", rec.Code, rec.Body)
	}
	rec := w.ask("gp", "PUT", path, body, "If-Match", `W/"1"`)
	if rec.Code != 200 || rec.Header().Get("ETag") != `W/"2"` || !strings.Contains(rec.Body.String(), "Still ours") {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	if rec := w.ask("gp", "DELETE", path, "", "If-Match", `W/"1"`); rec.Code != http.StatusPreconditionFailed {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	if rec := w.ask("gp", "DELETE", path, ""); rec.Code != http.StatusNoContent {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	for _, method := range []string{"GET", "DELETE", "PUT"} {
		if rec := w.ask("gp", method, path, body); rec.Code != 404 {
			t.Errorf("%s of what is deleted: %d %s", method, rec.Code, rec.Body)
		}
	}
}

// TestChangedWhen: a change has a time of its own, by which its readers tell what is new.
func TestChangedWhen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		id := w.subscribe(wanted())
		made := w.Get(id).Updated
		time.Sleep(time.Hour)
		w.ask("gp", "PUT", "/fhir/Subscription/"+id, wanted(`{"resourceType":"Subscription"`, `{"resourceType":"Subscription","id":"`+id+`"`))
		if s := w.Get(id); s.Version != 2 || !s.Updated.Equal(made.Add(time.Hour)) {
			t.Errorf("version %d of %v, made %v", s.Version, s.Updated, made)
		}
	})
}

// TestSecretsStay: what the hub shows no more it sends nowhere else, unless it is said again.
func TestSecretsStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.run()()
		id := w.active(wanted(`"type":"rest-hook"`, `"type":"rest-hook","header":["Authorization: Bearer very-secret"]`))
		with := func(secret, endpoint string) string {
			return wanted(`"resourceType":"Subscription"`, `"resourceType":"Subscription","id":"`+id+`"`,
				`"type":"rest-hook"`, `"type":"rest-hook","header":["Authorization: `+secret+`"]`, hook, endpoint)
		}
		for _, c := range []struct {
			secret, endpoint string
			want             int
		}{
			{"***", "https://elsewhere.example/hook", 422},
			{"***", "https://gp.example:8443/hook", 422},
			{"***", "https://gp.example/other", 200},
			{"Bearer new", "https://elsewhere.example/hook", 200},
		} {
			if rec := w.ask("gp", "PUT", "/fhir/Subscription/"+id, with(c.secret, c.endpoint)); rec.Code != c.want {
				t.Errorf("%+v: %d %s", c, rec.Code, rec.Body)
			}
			synctest.Wait()
		}
		for _, p := range w.sent() {
			if strings.Contains(p.url, "elsewhere") && p.header.Get("Authorization") != "Bearer new" {
				t.Errorf("%s was sent %s", p.url, p.header.Get("Authorization"))
			}
		}
	})
}

func TestSearch(t *testing.T) {
	w := newWorld(t)
	one, other := w.subscribe(wanted()), w.subscribe(wanted("https://gp.example/hook", "https://gp.example/other"))
	for query, want := range map[string][]string{
		"":                                {one, other},
		"?url=https://gp.example/hook":    {one},
		"?url=https://gp.example/nothing": {},
		"?status=requested":               {one, other},
		"?status=active,requested":        {one, other},
		"?status=active":                  {},
		"?status=active&status=requested": {},
		"?_id=" + other:                   {other},
		"?_id=" + other + "&_format=json": {other},
		"?url=https%3A%2F%2Fgp.example/hook&status=requested": {one},
	} {
		rec := w.ask("gp", "GET", "/fhir/Subscription"+query, "")
		var found struct {
			Total int
			Entry []struct{ FullURL string }
		}
		if err := json.Unmarshal(rec.Body.Bytes(), &found); err != nil || found.Total != len(want) || len(found.Entry) != len(want) {
			t.Errorf("%s: %v %s", query, err, rec.Body)
		}
		for _, e := range found.Entry {
			if id := e.FullURL[strings.LastIndex(e.FullURL, "/")+1:]; id != one && id != other || !strings.Contains(strings.Join(want, " "), id) {
				t.Errorf("%s finds %s", query, e.FullURL)
			}
		}
	}
	rec := w.ask("gp", "POST", "/fhir/Subscription/_search", "url=https://gp.example/other", "Content-Type", "application/x-www-form-urlencoded")
	if !strings.Contains(rec.Body.String(), other) || strings.Contains(rec.Body.String(), one) {
		t.Errorf("_search: %s", rec.Body)
	}
	if rec := w.ask("gp", "GET", "/fhir/Subscription?criteria=x", ""); rec.Code != 422 {
		t.Errorf("a parameter that would not filter: %d %s", rec.Code, rec.Body)
	}
}

// TestChangesMeet has two hubs change a Subscription at once: neither's change is lost.
func TestChangesMeet(t *testing.T) {
	w := newWorld(t)
	id := w.subscribe(wanted())
	other := newHub(t, w.store)
	first := true
	s, err := w.change(t.Context(), id, func(s *Subscription) error {
		if first {
			first = false
			if _, err := other.change(t.Context(), id, func(s *Subscription) error { s.Farewell = true; return nil }); err != nil {
				return err
			}
		}
		s.Status = Off
		return nil
	})
	if err != nil || !s.Farewell || s.Status != Off || s.Version != 3 {
		t.Errorf("%+v, %v", s, err)
	}
}

// TestAnotherHubKnows has a Subscription made at one hub known at another.
func TestAnotherHubKnows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		other := newHub(t, w.store)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { _ = other.Registry.Follow(ctx, func() {}) }()
		id := w.subscribe(wanted())
		synctest.Wait()
		if other.Get(id) == nil || len(other.Of("gp")) != 1 {
			t.Error("it is not known")
		}
		w.ask("gp", "DELETE", "/fhir/Subscription/"+id, "")
		synctest.Wait()
		if other.Get(id) != nil || len(other.Of("gp")) != 0 {
			t.Error("it is still known")
		}
	})
}

// TestRenew: what another hub has stored is waited for, not what is gone or never was.
func TestRenew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		other := newHub(t, w.store)
		id := w.subscribe(wanted())
		if err := other.Renew(t.Context(), id); !errors.Is(err, context.DeadlineExceeded) || other.Get(id) != nil {
			t.Errorf("a hub that does not follow: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		time.AfterFunc(time.Second, func() { _ = other.Registry.Follow(ctx, func() {}) })
		if err := other.Renew(t.Context(), id); err != nil || other.Get(id) == nil {
			t.Errorf("it is not known: %v", err)
		}
		w.ask("gp", "DELETE", "/fhir/Subscription/"+id, "")
		if err := other.Renew(t.Context(), id); err != nil {
			t.Errorf("what is gone: %v", err)
		}
	})
}
