package config

import "carehub/config/strict"

// sameness finds patients who are given twice, under two ids. It says where and repeats nothing of them.
type sameness struct {
	folder  *strict.Folder
	numbers map[string]strict.Pos
	persons map[[2]string]strict.Pos // by name and birth date
}

func newSameness(folder *strict.Folder) sameness {
	return sameness{folder, map[string]strict.Pos{}, map[[2]string]strict.Pos{}}
}

// check compares a patient with those before. With another's NHS number what is sent of one would be filed as the other's; a name and a
// birth date two people can share.
func (s sameness) check(p PatientEntry, node strict.Node) {
	if p.NHSNumber != "" {
		at := node.Locate("nhs_number")
		if first, taken := s.numbers[p.NHSNumber]; taken {
			s.folder.Report(strict.Twice, at, "this NHS number is given twice: %s has it already, and no two people do", first)
			return
		}
		s.numbers[p.NHSNumber] = at
	}
	if p.Name == "" || p.Born == "" {
		return
	}
	person := [2]string{p.Name, string(p.Born)}
	if first, known := s.persons[person]; known {
		s.folder.Warn(strict.SamePerson, p.Pos, "the patient at %s has the same name and birth date: if they are one person, events are told by the rules of one id only", first)
		return
	}
	s.persons[person] = p.Pos
}
