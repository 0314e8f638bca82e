package main

import (
	"runtime"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"carehub/events"
	"carehub/subscribers/deliver"
	"carehub/subscribers/signup"
)

// gauges are what the hub is at the moment, asked for by a scrape. They cost one look at each recipient,
// however much they wait for; what the store must be asked for is from the last pulse.
type gauges struct{ hub *hub }

// carerLabel stands for all carers together: their ids are private.
const carerLabel = "carer"

var (
	buildInfo    = desc("carehub_build_info", "1, with the version of the hub.", "version", "go")
	configInfo   = desc("carehub_config_info", "1, with the hash of the rules in force.", "rules")
	folderInfo   = desc("carehub_config_folder_info", "1, with a hash of the whole configuration in force and where it is from: folder, or store, which has a copy of the last good one.", "folder", "source")
	configOK     = desc("carehub_config_ok", "1 while the configuration on disk is in force, 0 while it cannot be used and the last good one goes on.")
	configKept   = desc("carehub_config_kept", "1 while the store has a copy of the configuration in force.")
	configWaits  = desc("carehub_config_restart_pending", "Keys of hub.yaml that have changed and wait for a restart.")
	reloaded     = desc("carehub_config_reloads_total", "Configurations found on disk since the start, by what came of them: loaded or refused.", "result")
	configLoaded = desc("carehub_config_loaded_timestamp_seconds", "When the configuration in force was read.")

	ready    = desc("carehub_ready", "1 while the hub can do its work: the checks of carehub_check_ok all hold.")
	checkOK  = desc("carehub_check_ok", "1 while this check of /readyz holds.", "check")
	unheard  = desc("carehub_alarms_unheard_total", "Alarms that one of their recipients could not be given, or that nobody was told of in time.")
	lost     = desc("carehub_deliveries_lost_total", "Deliveries dropped because their events were gone from the store.")
	inFlight = desc("carehub_attempts_in_flight", "Attempts under way.")

	escalations = desc("carehub_escalations_total", "Next steps that were told because those before them had not answered in time, or would not.")
	overdue     = desc("carehub_answers_overdue", "Events that somebody who was asked has not answered in time, or will not, and nobody else yet, until everybody was tried.")

	pending    = desc("carehub_pending_deliveries", "Deliveries that are neither told nor given up.", "recipient")
	oldest     = desc("carehub_oldest_pending_seconds", "Age of the oldest delivery that is neither told nor given up.", "recipient")
	parked     = desc("carehub_parked_deliveries", "Deliveries that wait on disk.", "recipient")
	endpointUp = desc("carehub_endpoint_up", "0 while this channel of the recipient fails again and again.", "recipient", "channel")

	partitions  = desc("carehub_partitions", "Partitions of the store that may have something to tell. Each is one hub's, which alone shows carehub_partition_…")
	readUpTo    = desc("carehub_partition_read_sequence", "Sequence of the newest event taken in.", "partition")
	settledUpTo = desc("carehub_partition_settled_sequence", "Sequence up to which every event is settled or parked.", "partition")
	unsettled   = desc("carehub_partition_unsettled_events", "Events taken in and not settled yet: what a crash would have read again.", "partition")
	unread      = desc("carehub_partition_unread_events", "Events stored and not taken in yet, at the most.", "partition")

	bouncesWaiting = desc("carehub_bounces_pending", "Bounces that are stored and not acted on yet.")
	mailboxRead    = desc("carehub_bounce_mailbox_age_seconds", "Time since the mailbox for bounces was last read.")

	storeUsed  = desc("carehub_store_bytes", "Bytes that the store holds.")
	storeLimit = desc("carehub_store_limit_bytes", "Bytes that the store may hold, where its server sets a limit.")
	diskFree   = desc("carehub_disk_free_bytes", "Free bytes of the disk that an embedded store is on.")
	diskSize   = desc("carehub_disk_bytes", "Size of that disk.")
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

// Describe sends all of the above.
func (gauges) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{buildInfo, configInfo, folderInfo, configOK, configKept, configWaits, reloaded, configLoaded, ready, checkOK, unheard, lost, inFlight, escalations, overdue, pending, oldest, parked,
		endpointUp, partitions, readUpTo, settledUpTo, unsettled, unread, bouncesWaiting, mailboxRead, storeUsed, storeLimit, diskFree, diskSize} {
		to <- d
	}
}

// Collect sends how things are.
func (g gauges) Collect(to chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	counter := func(d *prometheus.Desc, value int) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(value))
	}
	health, last := g.hub.engine.Health(), g.hub.pulse.condition()
	now := g.hub.current()
	gauge(buildInfo, 1, version, runtime.Version())
	gauge(configInfo, 1, now.hash())
	g.configuration(to)
	gauge(ready, truth(last.ready()))
	for _, c := range last.checks {
		gauge(checkOK, truth(c.ok), c.name)
	}
	counter(unheard, health.Unheard)
	counter(lost, health.Lost)
	told, late := g.hub.answers.Tally()
	counter(escalations, told)
	gauge(overdue, float64(late))
	g.recipients(gauge)
	live, _ := g.hub.store.Layout()
	gauge(partitions, float64(len(live)))
	for _, p := range health.Partitions {
		number := strconv.Itoa(p.Partition)
		gauge(readUpTo, float64(p.Read), number)
		gauge(settledUpTo, float64(p.Settled), number)
		gauge(unsettled, float64(p.Unsettled), number)
		newest := max(last.newest[p.Partition], p.Read) // events may have come and been read since
		gauge(unread, float64(newest-p.Read), number)
	}
	g.hub.returns.measure(gauge)
	if u := last.usage; u != nil {
		gauge(storeUsed, float64(u.Used))
		if u.Limit > 0 {
			gauge(storeLimit, float64(u.Limit))
		}
		if u.Size > 0 {
			gauge(diskFree, float64(u.Free))
			gauge(diskSize, float64(u.Size))
		}
	}
}

// configuration sends how the files on disk stand to what is in force.
func (g gauges) configuration(to chan<- prometheus.Metric) {
	s := g.hub.reloads.state()
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	gauge(folderInfo, 1, s.Hash, s.Source)
	gauge(configOK, truth(s.ok()))
	gauge(configKept, truth(s.Kept))
	gauge(configWaits, float64(len(s.Waiting)))
	gauge(configLoaded, float64(s.Since.Unix()))
	for result, n := range map[string]int{"loaded": s.Loaded, "refused": s.Refused} {
		to <- prometheus.MustNewConstMetric(reloaded, prometheus.CounterValue, float64(n), result)
	}
}

// endpoint is a series of carehub_endpoint_up.
type endpoint struct{ recipient, channel string }

// recipients sends how each team is served, and all carers together. Everybody registered has series.
func (g gauges) recipients(gauge func(*prometheus.Desc, float64, ...string)) {
	served, up := map[string]deliver.Standing{}, map[endpoint]bool{}
	for _, s := range g.hub.current().register.All() {
		if len(s.Channels) == 0 {
			continue
		}
		id := g.label(s.ID)
		served[id] = deliver.Standing{}
		for _, c := range s.Channels {
			up[endpoint{id, c.Key}] = true
		}
	}
	attempts := 0
	for recipient, r := range g.hub.engine.Recipients() {
		id := g.label(recipient)
		sum := served[id]
		sum.Pending += r.Pending
		sum.Parked += r.Parked
		sum.Oldest = max(sum.Oldest, r.Oldest)
		served[id] = sum
		if e := (endpoint{id, signup.ChannelType}); events.IsSubscription(recipient) {
			if _, seen := up[e]; !seen {
				up[e] = true // as long as none of theirs fails
			}
		}
		for _, channel := range r.Down {
			up[endpoint{id, channel}] = false
		}
		attempts += r.InFlight
	}
	gauge(inFlight, float64(attempts))
	for id, r := range served {
		gauge(pending, float64(r.Pending), id)
		gauge(oldest, r.Oldest.Round(time.Millisecond).Seconds(), id)
		gauge(parked, float64(r.Parked), id)
	}
	for e, ok := range up {
		gauge(endpointUp, truth(ok), e.recipient, e.channel)
	}
}

// label is a recipient as a label: teams by their ids, with what they have subscribed to themselves; everybody else without.
func (g gauges) label(id string) string {
	if sub := g.hub.subscriptions.Get(id); sub != nil {
		id = sub.Owner
	}
	s, registered := g.hub.current().register.Lookup(id)
	switch {
	case !registered:
		return "unregistered"
	case s.Carer:
		return carerLabel
	}
	return id
}

func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
