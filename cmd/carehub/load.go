package main

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"carehub/config"
	"carehub/config/strict"
	"carehub/events"
	"carehub/routing"
	"carehub/subscribers"
)

// folder is a configuration folder, read.
type folder struct {
	hub      *config.Hub
	patients config.Patients
	register *subscribers.Register
	rules    *routing.Rules
	problems strict.Problems // that a hub can run with

	carerIDs []string // their ids, where that is all that was read of carers.yaml
	onlyIDs  bool

	// What only a folder that was loaded for use has.
	source    *strict.Folder
	broken    strict.Problems // what is wrong with the files on disk, where this is the copy in the store
	ofHub     bool            // a running hub said what it has in force: it has the secrets, and this has none
	channels  *channels
	registrar registrar
	replaced  context.Context // ends when another folder is in force
	replace   context.CancelFunc
	start     map[string]any // what hub.yaml said at the hub's start of that which is read only then
}

type loadOptions struct {
	noSecrets bool // check where secrets and private files are not, as in CI
	noPrivate bool // with noSecrets: of the private files where they are, take only the ids of carers
	// types makes the channel types from the hub's settings, which may be incomplete when there are problems.
	types func(hub *config.Hub) map[string]subscribers.Type
}

// ourFolders are those that hold files of ours.
var ourFolders = []string{subscribers.Folder, routing.Folder, routing.Folder + "/tests"}

// unfit says why a hub cannot run with a folder.
type unfit struct{ problems strict.Problems }

func (u unfit) Error() string { return u.problems.Error() }

// loadForUse reads a configuration folder, with its secrets, and insists that a hub can run with it.
func loadForUse(dir string) (*folder, error) {
	if problems := noFolder(dir); problems != nil {
		return nil, unfit{problems}
	}
	return loadOf(&strict.Folder{Dir: dir, Snapshot: strict.Take(dir, ourFolders...)}, nil)
}

// loadOf is loadForUse of files that have been read, to take the place of the folder before; nil if there is none. Channels that
// have not changed are those of the folder before.
func loadOf(source *strict.Folder, before *folder) (*folder, error) {
	var made *channels
	var failed error
	f := readFolder(source, func(hub *config.Hub) map[string]subscribers.Type {
		var old *channels
		if before != nil {
			old = before.channels
		}
		made, failed = newChannels(hub, old)
		return made.types
	})
	if before != nil {
		f.checkLost(source, before)
	}
	problems := source.Problems()
	if problems.Unfit() {
		return nil, unfit{problems}
	}
	f.source, f.channels, f.registrar, f.problems = source, made, newRegistrar(f.patients), problems
	return f, failed
}

// checkLost reports patients whose rules are gone, though they are patients still: files that are not there, such as those of a volume
// that is not mounted, are no wish to tell nobody.
func (f *folder) checkLost(source *strict.Folder, before *folder) {
	now := f.rules.Patients() // sorted
	if len(now) == 0 && slices.ContainsFunc(before.rules.Patients(), f.isPatient) {
		source.Report(noRulesLeft.Code, noRulesLeft.Pos, "%s", noRulesLeft.Message)
		return
	}
	for _, id := range before.rules.Patients() {
		if _, ruled := slices.BinarySearch(now, id); f.isPatient(id) && !ruled {
			source.Report(strict.NoRules, f.patients[id].Pos, "%s had rules and has none now: put %s/%s.yaml back, or take the patient out of patients.yaml too",
				id, routing.Folder, id)
		}
	}
}

var noRulesLeft = strict.Problem{Code: strict.NoRules, Pos: strict.Pos{File: routing.Folder, Line: 1, Column: 1},
	Message: "no patient has rules any more, while patients.yaml names them: the files are not here"}

func (f *folder) isPatient(id string) bool {
	_, is := f.patients[id]
	return is
}

// noFolder reports a folder that is not there.
func noFolder(dir string) strict.Problems {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		at := strict.Pos{File: filepath.ToSlash(dir), Line: 1, Column: 1}
		return strict.Problems{{Code: strict.Unreadable, Pos: at, Message: "there is no such folder"}}
	}
	return nil
}

// loadFolder reads everything an admin edits in one pass. The folder is fit for use if the problems have not Failed.
func loadFolder(dir string, opt loadOptions) (*folder, strict.Problems) {
	if problems := noFolder(dir); problems != nil {
		return nil, problems
	}
	source := &strict.Folder{Dir: dir, NoSecrets: opt.noSecrets}
	f := &folder{}
	if opt.noPrivate {
		source.Snapshot = strict.Take(dir, ourFolders...)
		f.carerIDs, f.onlyIDs = subscribers.CarerIDs(source)
		source.Snapshot = source.Snapshot.Without(config.PatientsFile, subscribers.CarersFile)
	}
	f.read(source, opt.types)
	return f, source.Problems()
}

func readFolder(source *strict.Folder, types func(*config.Hub) map[string]subscribers.Type) *folder {
	f := &folder{}
	f.read(source, types)
	return f
}

func (f *folder) read(source *strict.Folder, types func(*config.Hub) map[string]subscribers.Type) {
	checkNames(source)
	f.hub, f.register, f.rules = config.LoadHub(source), &subscribers.Register{}, &routing.Rules{}
	if source.Problems().Malformed(config.HubFile) {
		return // whatever else were said would be about a hub of which nothing is known
	}
	now := time.Now().In(f.hub.Location)
	f.patients = config.LoadPatients(source, now)
	f.register = subscribers.Load(source, types(f.hub))
	known := f.known(source)
	f.rules = routing.Load(source, known, now)
	checkAlarms(source, f.hub, known)
	f.checkSignin(source)
	f.checkAdmins(source, known)
	f.checkKeptOut(source)
	f.checkUnused(source)
	f.checkPrivacy(source)
	source.CheckSecrets()
}

// inboxTypes are the channels by which a message can lie unread.
var inboxTypes = []string{"email", "sms", "push"}

// wholeTypes are the channels that carry the whole message, whatever the content that a rule allows.
var wholeTypes = []string{"webhook", "fhir"}

// known gathers what the routing rules are checked against.
func (f *folder) known(source *strict.Folder) routing.Known {
	known := routing.Known{Reachable: map[string]bool{}, NoCarers: !f.onlyIDs && !source.Has(subscribers.CarersFile),
		Inboxes: map[string]bool{}, Several: map[string]bool{}, Whole: map[string]string{},
		Carers: map[string]bool{}, Restricted: map[string]bool{}, Deceased: map[string]bool{},
		Urgent: map[events.Kind]bool{}, FallbackAfter: map[events.Kind]time.Duration{}}
	for _, s := range f.register.All() {
		known.Reachable[s.ID] = len(s.Channels) > 0
		known.Carers[s.ID] = s.Carer
		known.Several[s.ID] = len(s.Channels) > 1
		for _, c := range s.Channels {
			if slices.Contains(wholeTypes, c.Type) {
				known.Whole[s.ID] = c.Type
			}
		}
		known.Inboxes[s.ID] = !slices.ContainsFunc(s.Channels, func(c subscribers.Channel) bool { return !slices.Contains(inboxTypes, c.Type) })
	}
	for _, id := range f.carerIDs {
		known.Reachable[id], known.Carers[id] = true, true // by what, only the hub knows
	}
	for kind, k := range f.hub.Kinds {
		known.Urgent[kind] = k.Urgency == events.Urgent
		known.FallbackAfter[kind] = k.FallbackAfter
	}
	if f.patients != nil {
		known.Patients = make(map[string]strict.Pos, len(f.patients))
	}
	for id, p := range f.patients {
		known.Patients[id] = p.Pos
		known.Restricted[id], known.Deceased[id] = p.Restricted, p.Deceased != ""
	}
	return known
}

// checkAlarms reports alarm recipients that no alarm would reach.
func checkAlarms(source *strict.Folder, hub *config.Hub, known routing.Known) {
	for _, to := range hub.Alarms.Notify {
		switch reachable, registered := known.Reachable[to.V]; {
		case !registered && !known.NoCarers:
			source.Report(strict.UnknownRecipient, to.Pos, "unknown alarm recipient %q%s", to.V, strict.DidYouMean(to.V, slices.Sorted(maps.Keys(known.Reachable))))
		case registered && !reachable:
			source.Report(strict.AlarmUnreachable, to.Pos, "%s has no channel, so no alarm would reach them", to.V)
		}
	}
}

// checkKeptOut warns of carers who are kept out from a patient, and hear of them all the same as somebody who looks after the hub.
func (f *folder) checkKeptOut(source *strict.Folder) {
	for _, x := range f.rules.KeptOut() {
		for _, to := range f.hub.Alarms.Notify {
			if to.V == x.Carer {
				source.Warn(strict.StillHears, to.Pos, "%s is kept out from %s, who is restricted, and still hears of each alarm about them", x.Carer, x.Patient)
			}
		}
		for _, admin := range f.hub.Admins {
			if admin.V == x.Carer {
				source.Warn(strict.StillHears, admin.Pos, "%s is kept out from %s, who is restricted, and still sees on the admin's pages what is logged of them and who is told",
					x.Carer, x.Patient)
			}
		}
	}
}

// checkSignin reports staff of nobody.
func (f *folder) checkSignin(source *strict.Folder) {
	var organisations []string
	for _, s := range f.register.All() {
		if !s.Carer {
			organisations = append(organisations, s.ID)
		}
	}
	for _, o := range f.hub.Signin.OIDC {
		if o.Subscriber.V != "" && !slices.Contains(organisations, o.Subscriber.V) {
			source.Report(strict.UnknownRecipient, o.Subscriber.Pos, "unknown subscriber %q%s", o.Subscriber.V, strict.DidYouMean(o.Subscriber.V, organisations))
		}
	}
}

// checkUnused warns of everybody who is told of nothing and may not log either. One whom the hub knows by phone only is
// there for people to read. Where something cannot be used yet, it is likely the reason.
func (f *folder) checkUnused(source *strict.Folder) {
	if source.Problems().Unfit() {
		return
	}
	named := f.rules.Named()
	for _, id := range f.hub.Alarms.Notify.Values() {
		named[id] = true
	}
	for _, id := range f.hub.Admins.Values() {
		named[id] = true
	}
	for _, x := range f.rules.KeptOut() {
		named[x.Carer] = true
	}
	for _, s := range f.register.All() {
		if !named[s.ID] && (s.Carer || len(s.Channels) > 0) {
			who := s.ID
			if s.Carer {
				who = "this carer"
			}
			source.Warn(strict.Unused, f.register.Place(s.ID), "nothing names %s: no rule, no logged_by and no alarm", who)
		}
	}
}

// checkNames reports files whose names nearly are ours: they would not be read.
func checkNames(source *strict.Folder) {
	ours := []string{"hub.yaml", config.PatientsFile, subscribers.CarersFile, subscribers.Folder, routing.Folder, routing.DefaultsFile}
	names, _ := source.Names("")
	for _, name := range names {
		if near := strict.DidYouMean(name, ours); near != "" && !slices.Contains(ours, name) {
			source.Report(strict.FileName, strict.Pos{File: name, Line: 1, Column: 1}, "nothing reads a file of this name%s", near)
		}
	}
}
