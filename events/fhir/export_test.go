package fhir

// MaxForms is how many forms are kept at most.
const MaxForms = maxForms

// FormsKept is how many forms are kept now.
func FormsKept() int {
	forms.RLock()
	defer forms.RUnlock()
	return len(forms.known)
}

// EncodeWhole is Encode without templates.
func EncodeWhole(m Message) ([]byte, error) {
	m = m.clean()
	if err := m.check(); err != nil {
		return nil, err
	}
	return marshal(m.draft().bundle())
}
