package subscribers

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"carehub/config/strict"
	"carehub/events"
)

// Register is everyone who can be told. It does not change and is safe for concurrent use.
type Register struct {
	sorted  []Subscriber
	byID    map[string]Subscriber
	persons map[string]events.Person
	places  map[string]strict.Pos
	prints  map[string][sha256.Size]byte // of what the files say of each one's channels
}

// Place returns where somebody is registered.
func (r *Register) Place(id string) strict.Pos { return r.places[id] }

// SameChannels reports whether somebody is reached as in another register, the same secrets included.
func (r *Register) SameChannels(other *Register, id string) bool {
	now, here := r.prints[id]
	then, there := other.prints[id]
	return here == there && now == then
}

// Lookup returns the subscriber or carer with this id.
func (r *Register) Lookup(id string) (Subscriber, bool) {
	s, ok := r.byID[id]
	return s, ok
}

// All returns everyone, sorted by id. The slice is shared: do not change it.
func (r *Register) All() []Subscriber { return r.sorted }

// Person returns a carer as recipients are told of them or, with ID, Kind and Name only, an organisation whose system
// logs.
func (r *Register) Person(id string) (events.Person, bool) {
	p, ok := r.persons[id]
	return p, ok
}

// The files that Load reads.
const (
	Folder     = "subscribers"
	CarersFile = "carers.yaml" // private: may be missing where a folder is checked without secrets
)

// provider is one file of subscribers/.
type provider struct {
	ID       strict.At[string]         `yaml:"id,required"`
	Name     string                    `yaml:"name,required"`
	ODS      string                    `yaml:"ods"`
	Phone    string                    `yaml:"phone"`
	Channels []strict.Map[strict.Node] `yaml:"channels"`
	Quiet    *quietHours               `yaml:"quiet_hours"`
	Language strict.At[string]         `yaml:"language"`
}

// carer is one entry of carers.yaml.
type carer struct {
	Name         string                    `yaml:"name,required"`
	Relationship string                    `yaml:"relationship,required"`
	Phone        string                    `yaml:"phone"`
	Channels     []strict.Map[strict.Node] `yaml:"channels"`
	Quiet        *quietHours               `yaml:"quiet_hours"`
	Language     strict.At[string]         `yaml:"language"`
}

// Load reads subscribers/*.yaml and carers.yaml and opens every channel with the type of its name. Problems are reported
// to the folder; whoever could be read is registered all the same, so that the rules can be checked against them.
func Load(folder *strict.Folder, types map[string]Type) *Register {
	l := loader{
		folder: folder, types: types, places: map[string]strict.Pos{},
		register: &Register{byID: map[string]Subscriber{}, persons: map[string]events.Person{}, prints: map[string][sha256.Size]byte{}},
	}
	l.carers()
	for _, file := range folder.List(Folder) {
		l.provider(file)
	}
	r := l.register
	r.places = l.places
	r.sorted = slices.SortedFunc(maps.Values(r.byID), func(a, b Subscriber) int { return cmp.Compare(a.ID, b.ID) })
	return r
}

type loader struct {
	folder   *strict.Folder
	types    map[string]Type
	places   map[string]strict.Pos // of every id
	register *Register
}

func (l *loader) carers() {
	top, ok := l.folder.ReadPrivate(CarersFile)
	if !ok {
		return
	}
	var entries strict.Map[strict.Node]
	_ = top.Decode(&entries) // reported
	for _, entry := range entries {
		var c carer
		_ = entry.V.Decode(&c) // reported
		l.add(entry.Pos,
			Subscriber{ID: entry.Key, Name: c.Name, Phone: c.Phone, Carer: true, Channels: l.channels(c.Channels), Quiet: l.quiet(c.Quiet), Language: l.language(c.Language)},
			events.Person{ID: entry.Key, Kind: events.Carer, Name: c.Name, Relationship: c.Relationship, Phone: c.Phone}, c.Channels,
		)
	}
}

// CarerIDs returns the ids of carers.yaml and nothing else that it says; ok is false where it is not here or cannot be read. It
// reports nothing.
func CarerIDs(folder *strict.Folder) (ids []string, ok bool) {
	quiet := &strict.Folder{Dir: folder.Dir, Snapshot: folder.Snapshot, NoSecrets: true}
	top, ok := quiet.ReadPrivate(CarersFile)
	if !ok {
		return nil, false
	}
	var entries strict.Map[strict.Node]
	ok = top.Decode(&entries) == nil
	for _, entry := range entries {
		ids = append(ids, entry.Key)
	}
	return ids, ok
}

func (l *loader) provider(file string) {
	top, ok := l.folder.Read(file)
	if !ok {
		return
	}
	var p provider
	_ = top.Decode(&p) // reported
	if p.ID.V == "" {
		return
	}
	if stem := strings.TrimSuffix(path.Base(file), ".yaml"); stem != p.ID.V {
		l.folder.Report(strict.OtherName, p.ID.Pos, "the id and the file's name must be the same; the file is named %q", stem)
	}
	if p.Phone == "" && len(p.Channels) == 0 {
		l.folder.Report(strict.Unreachable, p.ID.Pos, "%s cannot be reached: it needs a channel, or a phone at least", p.ID.V)
	}
	l.personal(p.Channels)
	l.add(p.ID.Pos,
		Subscriber{ID: p.ID.V, Name: p.Name, ODS: p.ODS, Phone: p.Phone, Channels: l.channels(p.Channels), Quiet: l.quiet(p.Quiet), Language: l.language(p.Language)},
		events.Person{ID: p.ID.V, Kind: events.System, Name: p.Name}, p.Channels,
	)
}

// carersChannel is the channel that leads to the page of a carer who has signed in, as nobody else can.
const carersChannel = "push"

// personal warns of channels of a provider that nobody there could ever use.
func (l *loader) personal(items []strict.Map[strict.Node]) {
	for _, item := range items {
		for _, entry := range item {
			if entry.Key == carersChannel {
				l.folder.Warn(strict.CarersChannel, entry.Pos, "%s reaches the phones of carers only: nobody here could ever switch it on", carersChannel)
			}
		}
	}
}

// add registers one subscriber. Carers and providers share one set of ids, for a rule names either.
func (l *loader) add(at strict.Pos, s Subscriber, person events.Person, channels []strict.Map[strict.Node]) {
	if !events.ValidName(s.ID) {
		l.folder.Report(strict.BadID, at, "an id must be lower-case letters, digits and inner hyphens, 64 at the most")
		return
	}
	if events.IsSubscription(s.ID) {
		l.folder.Report(strict.TakenID, at, "an id of this form is kept for FHIR Subscriptions")
		return
	}
	if s.ID == events.HubPatient { // Organization/hub
		l.folder.Report(strict.TakenID, at, "the id hub is kept for the hub itself")
		return
	}
	if first, taken := l.places[s.ID]; taken {
		l.folder.Report(strict.TakenID, at, "the id %s is already taken at %s", s.ID, first)
		return
	}
	l.places[s.ID] = at
	l.register.byID[s.ID] = s
	l.register.persons[s.ID] = person
	l.register.prints[s.ID] = printOf(channels)
}

func printOf(channels []strict.Map[strict.Node]) (sum [sha256.Size]byte) {
	h := sha256.New()
	for _, item := range channels {
		for _, entry := range item {
			settings := entry.V.Print()
			h.Write([]byte(entry.Key + " "))
			h.Write(settings[:])
		}
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// channels opens a subscriber's channels. One that cannot be opened keeps its place, without an endpoint.
func (l *loader) channels(items []strict.Map[strict.Node]) []Channel {
	var all []Channel
	count := map[string]int{}
	for _, item := range items {
		for i, entry := range item {
			if i > 0 {
				l.folder.Report(strict.Conflict, entry.Pos, "each channel needs a dash (-) of its own")
			}
			channelType, known := l.types[entry.Key]
			if !known {
				names := slices.Sorted(maps.Keys(l.types))
				l.folder.Report(strict.UnknownChannel, entry.Pos, "unknown channel%s%s", l.folder.Quote(entry.File, entry.Key), strict.DidYouMean(entry.Key, names))
				continue
			}
			count[entry.Key]++
			channel := events.Channel{Key: key(entry.Key, count[entry.Key]), Type: entry.Key, Content: l.content(entry)}
			all = append(all, Channel{channel, l.open(channelType, entry), l.limits(entry)})
		}
	}
	return all
}

// key names the nth channel of a type within its subscriber; see events.Channel.
func key(channelType string, n int) string {
	if n == 1 {
		return channelType
	}
	return channelType + "-" + strconv.Itoa(n)
}

// contentType is the one channel on which content has a meaning: the others always carry the whole message.
const contentType = "email"

// languages are those that the hub speaks, as ISO 639 has them.
var languages = []string{"en", "cy"}

// language reads in which language somebody is written to; "" is English.
func (l *loader) language(given strict.At[string]) string {
	if given.V != "" && !slices.Contains(languages, given.V) {
		l.folder.Report(strict.BadValue, given.Pos, "must be one of %s", strings.Join(languages, ", "))
		return ""
	}
	return given.V
}

// content reads how much a channel may tell, a link unless told otherwise. The key stays where the channel's own type can
// read it too.
func (l *loader) content(entry strict.Entry[strict.Node]) events.Content {
	level := ""
	node, given := entry.V.Get("content")
	switch {
	case given && entry.Key != contentType:
		entry.V.Report(strict.Conflict, "content", "has a meaning for %s only", contentType)
		return ""
	case entry.Key != contentType:
		return ""
	case !given:
		return events.ContentLink
	case node.Decode(&level) != nil:
		return events.ContentLink
	}
	levels := []string{string(events.ContentLink), string(events.ContentSummary), string(events.ContentFull)}
	if !slices.Contains(levels, level) {
		entry.V.Report(strict.BadValue, "content", "must be one of %s%s", strings.Join(levels, ", "), strict.DidYouMean(level, levels))
	}
	return events.Content(level)
}

// limits reads how fast a channel may be used.
func (l *loader) limits(entry strict.Entry[strict.Node]) (limits Limits) {
	for _, key := range []struct {
		name string
		into *int
		most int
	}{{"rate", &limits.Rate, MaxRate}, {"concurrency", &limits.Concurrency, MaxConcurrency}} {
		node, given := entry.V.Get(key.name)
		if !given || node.Decode(key.into) != nil {
			continue
		}
		if *key.into < 1 || *key.into > key.most {
			entry.V.Report(strict.BadValue, key.name, "must be from 1 to %d", key.most)
		}
	}
	return limits
}

// open lets the type read its own settings. What it finds wrong is reported where it says.
func (l *loader) open(channelType Type, entry strict.Entry[strict.Node]) Endpoint {
	endpoint, err := channelType.Open(func(into any) error { return entry.V.Decode(into, "content", "rate", "concurrency") })
	switch field, judged := errors.AsType[*FieldError](err); {
	case err == nil:
		return endpoint
	case judged:
		l.folder.Report(strict.ChannelSettings, entry.V.Locate(field.Field), "%v", field)
	case !errors.Is(err, strict.ErrReported):
		l.folder.Report(strict.ChannelSettings, entry.Pos, "%v", err)
	}
	return nil
}
