package routing

import "carehub/config/strict"

// End is the last day on which somebody may do what they may for a patient.
type End struct {
	Actor, Patient string
	Last           strict.Date
}

// Ends returns every authority that has an end, by patient and in the order of the file.
func (r *Rules) Ends() []End {
	var all []End
	for _, id := range sortedKeys(r.patients) {
		for _, g := range r.patients[id].grants {
			if g.until != "" {
				all = append(all, End{g.actor, id, g.until})
			}
		}
	}
	return all
}
