package routing

import "carehub/config/strict"

// Lapse is the last day on which somebody may do what they may for a patient.
type Lapse struct {
	Actor, Patient string
	Last           strict.Date
}

// Lapses returns every authority that has an end, by patient and in the order of the file.
func (r *Rules) Lapses() []Lapse {
	var all []Lapse
	for _, id := range sortedKeys(r.patients) {
		for _, g := range r.patients[id].grants {
			if g.until != "" {
				all = append(all, Lapse{g.actor, id, g.until})
			}
		}
	}
	return all
}
