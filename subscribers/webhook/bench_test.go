package webhook_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"carehub/subscribers/channeltest"
	"carehub/subscribers/webhook"
)

// BenchmarkSend posts to one receiver over kept loopback connections, a few at a time.
func BenchmarkSend(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
	}))
	defer server.Close()
	client := loopback.Client(nil)
	defer client.CloseIdleConnections()
	endpoint := mustOpen(b, webhook.New(client, options), "url: "+server.URL+"\nsecret: ${file:secret}\n")
	d := channeltest.Sample()
	b.ReportAllocs()
	b.SetParallelism(4)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := endpoint.Send(b.Context(), d); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "sends/s")
}
