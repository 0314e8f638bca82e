package routing

import (
	"cmp"
	"encoding/hex"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"carehub/config/strict"
	"carehub/events"
)

// Folder is where the routing files are, in the configuration folder.
const Folder = "routing"

// Known is what the rest of the configuration says, as far as the rules must agree with it.
type Known struct {
	// Reachable holds every subscriber and carer: true if there is a channel to tell them by, false if only a phone.
	Reachable map[string]bool
	// Patients holds where patients.yaml names each patient; nil if there is no such file to check against.
	Patients map[string]strict.Pos
	// Inboxes holds those who are reached by nothing but inboxes, in which a message can lie unread.
	Inboxes map[string]bool
	// Several holds those with more than one channel.
	Several map[string]bool
	// Urgent holds the kinds that are.
	Urgent map[events.Kind]bool
	// FallbackAfter is how long each kind waits until the next channel is tried as well; a kind that is missing is not judged.
	FallbackAfter map[events.Kind]time.Duration
	// Carers holds those who are carers, not providers.
	Carers map[string]bool
	// Restricted and Deceased hold the patients of whom patients.yaml says so.
	Restricted, Deceased map[string]bool
	// Whole holds, for those with a channel that carries the whole message whatever a rule's content says, the channel's type.
	Whole map[string]string
	// NoCarers says that there was no carers.yaml to check against: somebody unknown may be a carer.
	NoCarers bool
}

// file is one of routing/*.yaml.
type file struct {
	Patient  strict.At[string]      `yaml:"patient,required"`
	LoggedBy strict.Map[grantEntry] `yaml:"logged_by,required"`
	Defaults strict.At[string]      `yaml:"defaults"`
	Rules    []strict.At[ruleEntry] `yaml:"rules,required"`
}

type grantEntry struct {
	As    []strict.At[string]    `yaml:"as"`
	May   strict.List[string]    `yaml:"may,required"`
	Until strict.At[strict.Date] `yaml:"until"`
}

// ruleEntry is a rule as written, of a patient or of all. Once spelled its groups are written out.
type ruleEntry struct {
	Name        strict.At[string]       `yaml:"name"`
	On          strict.List[string]     `yaml:"on,required"`
	Notify      strict.List[string]     `yaml:"notify,required"`
	Acknowledge *acknowledgeEntry       `yaml:"acknowledge"`
	Hours       strict.List[hoursEntry] `yaml:"hours"`
	When        *whenEntry              `yaml:"when"`
	Until       strict.At[strict.Date]  `yaml:"until"`
	Content     strict.At[string]       `yaml:"content"`
	Attach      strict.List[string]     `yaml:"attach"`
	Mandatory   bool                    `yaml:"mandatory"`
}

// Load reads, checks and compiles routing.yaml and all patients' files. Problems are reported to the folder; the rules are fit for use when
// there is none but warnings. now, in the hub's time zone, is what an until is compared with.
func Load(folder *strict.Folder, known Known, now time.Time) *Rules {
	l := loader{
		folder: folder, known: known, ids: sortedKeys(known.Reachable), now: now,
		places: map[string]strict.Pos{}, aliases: map[[2]string]strict.Pos{}, words: map[string]string{},
		groups: map[string]*group{}, zones: map[string]*time.Location{}, loggers: map[string]bool{},
		rules: &Rules{patients: map[string]patient{}, aliases: map[string][]alias{}, zone: now.Location()},
	}
	var sums strings.Builder
	sums.WriteString(l.shared())
	for _, name := range folder.List(Folder) {
		if top, ok := folder.Read(name); ok {
			sum := top.Hash()
			sums.WriteString(name + " " + hex.EncodeToString(sum[:]) + "\n")
			l.file(name, top)
		}
	}
	l.unruled()
	l.judgeStrangers()
	l.exceptions()
	sums.WriteString(known.exceptional())
	l.unused()
	l.rules.hash = events.Hash([]byte(sums.String()))
	return l.rules
}

type loader struct {
	folder  *strict.Folder
	known   Known
	ids     []string // of known.Reachable, for suggestions
	now     time.Time
	places  map[string]strict.Pos    // of every patient's rules
	aliases map[[2]string]strict.Pos // by actor and folded alias
	words   map[string]string        // one copy of each id, for thousands of files name the same few
	groups  map[string]*group
	names   []string // of groups, in the order of the file
	zones   map[string]*time.Location

	loggers   map[string]bool     // whom any logged_by names
	strangers []strict.At[string] // recipients whom nothing that was read knows, where there is no carers.yaml

	defaults []*inherited
	misspelt bool // a kind of some default
	whole    bool // the file being read has the right form, so that nothing is missing for want of it
	rules    *Rules
}

func (l *loader) file(name string, top strict.Node) {
	var f file
	l.whole = top.Decode(&f) == nil
	id := f.Patient.V
	if id == "" || !l.patient(name, f.Patient) {
		return
	}
	var p patient
	for _, entry := range f.LoggedBy {
		p.grants = append(p.grants, l.grant(id, entry))
	}
	for i := range f.Rules {
		l.spell(&f.Rules[i])
		p.rules = append(p.rules, l.rule(&f.Rules[i]))
	}
	kept := l.inherit(&f)
	for _, d := range kept {
		p.rules = append(p.rules, d.rule)
	}
	l.rules.patients[id] = p
	if l.whole {
		l.check(top, f, kept, p)
	}
}

// patient checks whose rules a file holds.
func (l *loader) patient(file string, id strict.At[string]) bool {
	if !events.ValidPatient(id.V) {
		l.folder.Report(strict.BadID, id.Pos, "a patient's id must be p- and 2 to 32 of a-z and 0-9")
		return false
	}
	if stem := strings.TrimSuffix(path.Base(file), ".yaml"); stem != id.V {
		l.folder.Report(strict.OtherName, id.Pos, "the patient and the file's name must be the same; the file is named %q", stem)
	}
	if _, named := l.known.Patients[id.V]; l.known.Patients != nil && !named {
		l.folder.Report(strict.UnknownPatient, id.Pos, "%s is not in patients.yaml%s", id.V, strict.DidYouMean(id.V, sortedKeys(l.known.Patients)))
	}
	if first, taken := l.places[id.V]; taken {
		l.folder.Report(strict.TakenID, id.Pos, "the rules of %s already stand at %s", id.V, first)
		return false
	}
	l.places[id.V] = id.Pos
	return true
}

func (l *loader) grant(patient string, entry strict.Entry[grantEntry]) grant {
	if _, known := l.known.Reachable[entry.Key]; !known && !l.known.NoCarers {
		l.folder.Report(strict.UnknownRecipient, entry.Pos, "%q is neither a carer nor a subscriber%s", entry.Key, l.suggest(entry.Key))
	}
	g := grant{actor: l.word(entry.Key), until: entry.V.Until.V}
	l.loggers[g.actor] = true
	for _, right := range entry.V.May {
		if right.V != string(Log) && right.V != string(See) {
			l.folder.Report(strict.BadValue, right.Pos, "may takes log and see%s", strict.DidYouMean(right.V, []string{string(Log), string(See)}))
		}
		g.may = append(g.may, Right(l.word(right.V)))
	}
	switch {
	case g.until.Past(l.now):
		l.folder.Warn(strict.AuthorityEnded, entry.V.Until.Pos, "the authority of %s has ended; what they log is still passed on, marked so", entry.Key)
	case g.until.Soon(l.now):
		l.folder.Warn(strict.AuthorityEnding, entry.V.Until.Pos, "the authority of %s ends within 30 days", entry.Key)
	}
	for _, written := range entry.V.As {
		l.alias(g.actor, l.word(patient), written)
	}
	return g
}

// rule compiles a rule that is spelled out.
func (l *loader) rule(entry *strict.At[ruleEntry]) *rule {
	r := &rule{place: entry.Short(), ask: l.ask(entry.V.Acknowledge), only: l.condition(entry), content: l.content(entry.V.Content), mandatory: entry.V.Mandatory}
	for _, kind := range entry.V.On {
		r.kinds = append(r.kinds, events.Kind(l.word(kind.V)))
	}
	for _, recipient := range entry.V.Notify {
		r.notify = append(r.notify, l.word(recipient.V))
	}
	for _, kind := range entry.V.Attach {
		r.attach = append(r.attach, l.word(l.document(kind)))
	}
	return r
}

// spell reports recipients that nobody is, and puts the members in the place of each group.
func (l *loader) spell(rule *strict.At[ruleEntry]) {
	rule.V.Notify = l.spelled(rule.V.Notify)
	if ask := rule.V.Acknowledge; ask != nil {
		ask.Else = l.spelled(ask.Else)
	}
}

func (l *loader) spelled(names strict.List[string]) (all strict.List[string]) {
	seen := map[string]bool{}
	for _, name := range names {
		ids := []string{name.V}
		if g := l.groups[name.V]; g != nil {
			g.used, ids = true, g.members
		} else {
			l.recipient(name)
		}
		for _, id := range ids {
			if !seen[id] {
				seen[id] = true
				all = append(all, strict.At[string]{Pos: name.Pos, V: id})
			}
		}
	}
	return all
}

// recipient reports a name that nobody has. Without carers.yaml that cannot be told before all files are read.
func (l *loader) recipient(name strict.At[string]) {
	switch _, known := l.known.Reachable[name.V]; {
	case known:
	case l.known.NoCarers:
		l.strangers = append(l.strangers, name)
	default:
		l.folder.Report(strict.UnknownRecipient, name.Pos, "unknown recipient %q%s", name.V, strict.DidYouMean(name.V, slices.Concat(l.ids, l.names)))
	}
}

// judgeStrangers warns of recipients who can only be carers, for who logs for some patient is taken to be one. A rule goes on naming them.
func (l *loader) judgeStrangers() {
	for _, name := range l.strangers {
		if !l.loggers[name.V] {
			l.folder.Warn(strict.Stranger, name.Pos, "%q is no subscriber and logs for nobody: only carers.yaml, which is not here, could say who this is%s",
				name.V, strict.DidYouMean(name.V, slices.Concat(l.ids, l.names)))
		}
	}
}

func (l *loader) content(written strict.At[string]) events.Content {
	if written.V != "" && !slices.Contains(events.Contents, events.Content(written.V)) {
		contents := []string{string(events.ContentLink), string(events.ContentSummary), string(events.ContentFull)}
		l.folder.Report(strict.BadValue, written.Pos, "content must be one of %s%s", strings.Join(contents, ", "), strict.DidYouMean(written.V, contents))
	}
	return events.Content(l.word(written.V))
}

// documents are the kinds of document that may be attached, and what stands for all of them.
var documents = []string{"letter", "result", "report", "respect", "photo", "other", "all"}

// document is a kind of document that may be attached.
func (l *loader) document(written strict.At[string]) string {
	if !slices.Contains(documents, written.V) {
		l.folder.Report(strict.BadValue, written.Pos, "attach takes %s%s", strings.Join(documents, ", "), strict.DidYouMean(written.V, documents))
	}
	return written.V
}

// unruled reports patients whose events would reach nobody because there is no routing file at all.
func (l *loader) unruled() {
	for id, at := range l.known.Patients {
		if _, ruled := l.places[id]; !ruled {
			l.folder.Gap(strict.NoRules, at, "%s has no rules, so nothing logged would reach anyone: %s/%s.yaml is missing", id, Folder, id)
		}
	}
}

func (l *loader) suggest(id string) string { return strict.DidYouMean(id, l.ids) }

func (l *loader) word(s string) string {
	if same, ok := l.words[s]; ok {
		return same
	}
	l.words[s] = s
	return s
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
