package routing

import (
	"encoding/hex"
	"slices"

	"carehub/config/strict"
	"carehub/events"
)

// DefaultsFile holds what the rules of all patients share. It may be missing.
const DefaultsFile = "routing.yaml"

// shared is routing.yaml.
type shared struct {
	Groups   strict.Map[strict.List[string]] `yaml:"groups"`
	Defaults []strict.At[ruleEntry]          `yaml:"defaults"`
}

// inherited is a default, as written and compiled once for all patients.
type inherited struct {
	entry    strict.At[ruleEntry]
	rule     *rule
	used     bool
	replaced bool
}

// shared reads routing.yaml before the patients' files, and returns its part of the hash.
func (l *loader) shared() string {
	if !l.folder.Has(DefaultsFile) {
		return ""
	}
	top, ok := l.folder.Read(DefaultsFile)
	if !ok {
		return ""
	}
	var s shared
	l.whole = top.Decode(&s) == nil
	l.readGroups(s.Groups)
	l.readDefaults(s.Defaults)
	sum := top.Hash()
	return DefaultsFile + " " + hex.EncodeToString(sum[:]) + "\n"
}

// group is a name for several recipients.
type group struct {
	at      strict.Pos
	members []string
	used    bool
}

func (l *loader) readGroups(entries strict.Map[strict.List[string]]) {
	for _, entry := range entries {
		l.groups[entry.Key] = &group{at: entry.Pos}
		l.names = append(l.names, entry.Key)
	}
	for _, entry := range entries {
		_, taken := l.known.Reachable[entry.Key]
		g := l.groups[entry.Key]
		g.used = g.used || taken || !events.ValidName(entry.Key) || len(entry.V) == 0 // one problem is enough
		switch {
		case !events.ValidName(entry.Key):
			l.folder.Report(strict.BadID, entry.Pos, "the name of a group must be lower-case letters, digits and inner hyphens, 64 at the most")
		case taken:
			l.folder.Report(strict.TakenID, entry.Pos, "%s is the id of a subscriber or carer: name the group something else", entry.Key)
		case len(entry.V) == 0:
			l.folder.Report(strict.EmptyGroup, entry.Pos, "the group %s is empty: a rule that names it would tell nobody of it", entry.Key)
		}
		g.members = l.members(entry.V)
	}
}

// members are those of a group who are somebody.
func (l *loader) members(written strict.List[string]) (ids []string) {
	for _, member := range written {
		if g := l.groups[member.V]; g != nil {
			g.used = true
			l.folder.Report(strict.GroupInGroup, member.Pos, "%s is a group, and groups hold subscribers and carers only: name those that are in it", member.V)
			continue
		}
		l.recipient(member)
		ids = append(ids, l.word(member.V))
	}
	return ids
}

// readDefaults reads the rules of every patient.
func (l *loader) readDefaults(entries []strict.At[ruleEntry]) {
	first := map[string]strict.Pos{}
	for _, entry := range entries {
		name := entry.V.Name
		switch at, taken := first[name.V]; {
		case name.V == "":
			l.folder.Report(strict.Missing, entry.Pos, "a default needs a name, by which a patient's file can replace it")
		case !events.ValidName(name.V):
			l.folder.Report(strict.BadID, name.Pos, "the name of a default must be lower-case letters, digits and inner hyphens, 64 at the most")
		case taken:
			l.folder.Report(strict.TakenID, name.Pos, "the default on line %d has this name already", at.Line)
		default:
			first[name.V] = name.Pos
		}
		l.spell(&entry)
		l.defaults = append(l.defaults, &inherited{entry: entry, rule: l.rule(&entry)})
	}
	if l.whole {
		l.checkDefaults()
	}
}

// checkDefaults judges the defaults by themselves. What they come to with a patient's own rules is judged in each file.
func (l *loader) checkDefaults() {
	c := checker{loader: l, earlier: map[string]strict.Pos{}}
	for _, d := range l.defaults {
		c.judge(d.entry)
	}
	l.misspelt = c.unknown
}

// inherit returns the defaults that a patient's rules leave in force.
func (l *loader) inherit(f *file) (kept []*inherited) {
	own := map[string]strict.Pos{}
	for _, rule := range f.Rules {
		l.replaces(rule.V.Name, own)
	}
	none := l.none(f)
	for _, d := range l.defaults {
		_, replaced := own[d.entry.V.Name.V]
		d.replaced = d.replaced || replaced
		if d.rule.mandatory || !none && !replaced {
			d.used = true
			kept = append(kept, d)
		}
	}
	return kept
}

// none reports whether a file says defaults: none.
func (l *loader) none(f *file) bool {
	if said := f.Defaults.V; said != "" && said != "none" {
		l.folder.Report(strict.BadValue, f.Defaults.Pos, "defaults takes none, and without it the defaults of %s apply%s", DefaultsFile, strict.DidYouMean(said, []string{"none"}))
	}
	return f.Defaults.V == "none"
}

// replaces checks the name of a patient's rule: that of a default, which the rule stands for.
func (l *loader) replaces(name strict.At[string], own map[string]strict.Pos) {
	if name.V == "" {
		return
	}
	var names []string
	for _, d := range l.defaults {
		names = append(names, d.entry.V.Name.V)
	}
	i := slices.Index(names, name.V)
	first, twice := own[name.V]
	switch {
	case i < 0:
		l.folder.Report(strict.UnknownDefault, name.Pos, "no default in %s is named %q, and a name here is that of the default that the rule replaces%s", DefaultsFile, name.V, strict.DidYouMean(name.V, names))
	case l.defaults[i].rule.mandatory:
		l.folder.Report(strict.Mandatory, name.Pos, "the default %s at %s is mandatory, so no rule can replace it: leave out the name, and this rule adds to it", name.V, l.defaults[i].rule.place)
	case twice:
		l.folder.Report(strict.TakenID, name.Pos, "the rule on line %d replaces this default already", first.Line)
	}
	own[name.V] = name.Pos
}

// unused warns of groups that no rule names, and of defaults that no patient has.
func (l *loader) unused() {
	for _, name := range l.names {
		if g := l.groups[name]; !g.used {
			l.folder.Warn(strict.UnusedDefault, g.at, "no rule names the group %s", name)
		}
	}
	for _, d := range l.defaults {
		if !d.used && len(l.rules.patients) > 0 {
			l.folder.Warn(strict.UnusedDefault, d.entry.Pos, "no patient has this default: every file replaces it or says defaults: none")
		}
	}
}
