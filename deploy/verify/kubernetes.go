package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"
)

// manifest is one file, decoded.
type manifest struct {
	path     string
	problems []string

	pods      []corev1.PodTemplateSpec
	selectors []metav1.LabelSelector // of what must select a pod
	ports     []intstr.IntOrString   // that must be a pod's
}

func (m *manifest) report(format string, args ...any) {
	m.problems = append(m.problems, m.path+": "+fmt.Sprintf(format, args...))
}

// kubernetes decodes each document strictly, unknown and repeated fields are errors, and checks what only the API server
// would: that selectors select, that named ports exist, that pods are confined and probed.
func kubernetes(path string) []string {
	m := &manifest{path: path}
	text, err := os.ReadFile(path) // #nosec G304 -- the file to be checked
	if err != nil {
		return []string{err.Error()}
	}
	for _, document := range bytes.Split(text, []byte("\n---\n")) {
		m.document(document)
	}
	m.selected()
	for _, pod := range m.pods {
		m.pod(pod.Spec)
	}
	return m.problems
}

func (m *manifest) document(text []byte) {
	var kind metav1.TypeMeta
	if err := yaml.Unmarshal(text, &kind); err != nil {
		m.report("%v", err)
		return
	}
	decode := func(into any) {
		if err := yaml.UnmarshalStrict(text, into); err != nil {
			m.report("%s: %v", kind.Kind, err)
		}
	}
	switch kind.APIVersion + " " + kind.Kind {
	case "v1 Namespace":
		decode(&corev1.Namespace{})
	case "v1 Service":
		var s corev1.Service
		decode(&s)
		m.selectors = append(m.selectors, metav1.LabelSelector{MatchLabels: s.Spec.Selector})
		for _, p := range s.Spec.Ports {
			m.ports = append(m.ports, p.TargetPort)
		}
	case "apps/v1 StatefulSet":
		var s appsv1.StatefulSet
		decode(&s)
		m.pods = append(m.pods, s.Spec.Template)
		m.selectors = append(m.selectors, *s.Spec.Selector)
	case "apps/v1 Deployment":
		var d appsv1.Deployment
		decode(&d)
		m.pods = append(m.pods, d.Spec.Template)
		m.selectors = append(m.selectors, *d.Spec.Selector)
	case "policy/v1 PodDisruptionBudget":
		var b policyv1.PodDisruptionBudget
		decode(&b)
		m.selectors = append(m.selectors, *b.Spec.Selector)
	case "networking.k8s.io/v1 NetworkPolicy":
		var n networkingv1.NetworkPolicy
		decode(&n)
		m.selectors = append(m.selectors, n.Spec.PodSelector)
		for _, rule := range n.Spec.Ingress {
			for _, p := range rule.Ports {
				m.ports = append(m.ports, *p.Port)
			}
		}
	default:
		m.report("%s %s is not known here", kind.APIVersion, kind.Kind)
	}
}

// selected checks that every selector selects the file's pods, and that every named port is theirs.
func (m *manifest) selected() {
	if len(m.pods) != 1 {
		m.report("%d kinds of pod, not one", len(m.pods))
		return
	}
	pod := m.pods[0]
	for _, s := range m.selectors {
		selector, err := metav1.LabelSelectorAsSelector(&s)
		if err != nil || selector.Empty() || !selector.Matches(labels.Set(pod.Labels)) {
			m.report("the selector %v does not select the pods", s)
		}
	}
	names := map[string]bool{}
	for _, c := range pod.Spec.Containers {
		for _, p := range c.Ports {
			names[p.Name] = true
		}
		for _, p := range []*corev1.Probe{c.StartupProbe, c.ReadinessProbe, c.LivenessProbe} {
			if p == nil || p.HTTPGet == nil || p.TimeoutSeconds < 0 {
				m.report("%s lacks a probe", c.Name)
				continue
			}
			m.ports = append(m.ports, p.HTTPGet.Port)
		}
	}
	for _, p := range m.ports {
		if p.Type == intstr.String && !names[p.StrVal] {
			m.report("no port %s", p.StrVal)
		}
	}
}

// pod checks that a pod meets the restricted Pod Security Standard, and that its mounts are its volumes.
func (m *manifest) pod(pod corev1.PodSpec) {
	sc := pod.SecurityContext
	if sc == nil || sc.RunAsNonRoot == nil || !*sc.RunAsNonRoot || sc.SeccompProfile == nil || pod.AutomountServiceAccountToken == nil || *pod.AutomountServiceAccountToken {
		m.report("the pod is not confined")
	}
	volumes := map[string]bool{"data": true} // of a claim template
	for _, v := range pod.Volumes {
		volumes[v.Name] = true
	}
	for _, c := range pod.Containers {
		s := c.SecurityContext
		if s == nil || s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation || s.ReadOnlyRootFilesystem == nil ||
			!*s.ReadOnlyRootFilesystem || s.Capabilities == nil || len(s.Capabilities.Drop) != 1 {
			m.report("%s is not confined", c.Name)
		}
		if c.Resources.Limits.Memory().IsZero() || c.Resources.Requests.Cpu().IsZero() || strings.HasSuffix(c.Image, ":latest") || !strings.Contains(c.Image, ":") {
			m.report("%s has no memory limit, no CPU request or no version", c.Name)
		}
		for _, v := range c.VolumeMounts {
			if !volumes[v.Name] {
				m.report("%s mounts %s, which is no volume", c.Name, v.Name)
			}
		}
	}
}
