package email

import (
	"fmt"

	"carehub/events"
	"carehub/events/fhir"
)

// The languages of a mail, as BCP 47 has them.
const (
	english = "en-GB"
	welsh   = "cy"
)

// isWelsh reports whether a message goes in Welsh: to whom the register says so, where it tells no more than that there is something
// to read. What tells more is in English, as its facts are.
func isWelsh(d events.Delivery) bool {
	return d.Language == welsh && d.Kind != events.Alarm && d.Content != events.ContentSummary && d.Content != events.ContentFull
}

// bareInWelsh says that there is something to read, and nothing of what it is.
func bareInWelsh(d events.Delivery, m fhir.Message) letter {
	ask := "Atebwch y neges hon"
	if m.Hub.Phone != "" {
		ask = "Ffoniwch " + m.Hub.Phone + " neu atebwch y neges hon"
	}
	l := letter{
		Lang:  welsh,
		Title: "Neges am rywun yn eich gofal",
		Lead:  []string{fmt.Sprintf("Mae gan %s neges i %s am rywun yn eich gofal. Darllenwch hi drwy'r ddolen.", m.Hub.Name, d.Name)},
		Foot: []string{
			"Mae'r ddolen i chi yn unig. Peidiwch â'i throsglwyddo.",
			fmt.Sprintf("Cyfeirnod %s. %s i gyrraedd person yn %s.", d.Ref, ask, m.Hub.Name),
			"Nid ydym yn defnyddio e-bost ar gyfer argyfyngau. Nid yw'r neges hon yn galw ambiwlans: os oes angen help ar rywun nawr, ffoniwch 999.",
			fmt.Sprintf("Rydych yn cael hon oherwydd bod %s wedi nodi %s ar gyfer negeseuon am y person hwn. Os yw hynny'n anghywir, dywedwch wrthym.", m.Hub.Name, d.Name),
		},
		Action: "Darllen y neges",
	}
	if d.Urgent {
		l.Lead = append([]string{"Mae hyn yn frys."}, l.Lead...)
	}
	if d.Link != nil {
		l.Link = d.Link()
	}
	if d.Test || m.Event.Test {
		l.Lead = append([]string{"PRAWF: dim ond prawf yw hwn. Peidiwch â gweithredu arno."}, l.Lead...)
	}
	return l
}

// subjectInWelsh says nothing of the patient or the event.
func subjectInWelsh(hub string, d events.Delivery) string {
	what := hub + ": neges am rywun yn eich gofal"
	if d.Urgent {
		what += " [brys]"
	}
	if d.Test {
		what = "PRAWF " + what
	}
	return what + " - cyf " + d.Ref
}
