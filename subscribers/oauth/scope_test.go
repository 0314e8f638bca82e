package oauth

import (
	"strings"
	"testing"
)

// FuzzScopes: what is granted allows nothing that was not both asked for and registered, and all that was both.
func FuzzScopes(f *testing.F) {
	f.Add("system/*.rs", "system/Encounter.rs system/Subscription.crud")
	f.Add("system/Encounter.cruds system/Patient.read", "system/*.rs")
	f.Add("system/*.*", "system/Encounter.r system/Encounter.s system/Patient.write")
	f.Add("system/.r openid", "system/*.q")
	f.Fuzz(func(t *testing.T, ask, have string) {
		asked, registered := ParseScopes(ask), ParseScopes(have)
		granted := asked.within(registered)
		types := []string{"Encounter", "Patient", "Subscription", "Other"}
		for _, s := range append(asked, registered...) {
			types = append(types, s.Resource)
		}
		for _, resource := range types {
			for _, letter := range accesses {
				access := string(letter)
				want := asked.Allow(resource, access) && registered.Allow(resource, access)
				if got := granted.Allow(resource, access); got != want {
					t.Errorf("asked %v of %v: granted %v, which allows %s of %s: %v", asked, registered, granted, access, resource, got)
				}
			}
		}
		if again := ParseScopes(granted.String()); strings.Join(strings.Fields(again.String()), " ") != granted.String() {
			t.Errorf("granted %q reads as %q", granted, again)
		}
	})
}
