package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"carehub/config"
	"carehub/config/strict"
	"carehub/routing"
	"carehub/subscribers"
	"carehub/subscribers/email"
	"carehub/subscribers/fhirmsg"
	"carehub/subscribers/push"
	"carehub/subscribers/sms"
	"carehub/subscribers/webhook"
)

// schemaCommand is carehub schema: what editors complete and check the files by.
func schemaCommand() *cobra.Command {
	var dir string
	names := strings.Join(subjectNames(), ", ")
	cmd := &cobra.Command{
		Use:   "schema NAME | schema -o DIR",
		Short: "Print the JSON Schema of a configuration file",
		Long: "Schema prints the JSON Schema of one file: " + names + ". With -o it writes all of them into a folder.\n" +
			"An editor that knows YAML completes and checks a file that begins with\n" +
			"  # yaml-language-server: $schema=PATH\n" +
			"A schema sees one file by itself: carehub check says whether the folder is right.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (len(args) == 1) == (dir != "") {
				return misused("schema takes the name of a file, or -o and a folder: " + names)
			}
			if dir != "" {
				return writeSchemas(dir)
			}
			for _, s := range subjects() {
				if s.Name == args[0] {
					_, err := cmd.OutOrStdout().Write(schemaText(s))
					return err
				}
			}
			return misused("there is no schema " + args[0] + strict.DidYouMean(args[0], subjectNames()) + ": it is one of " + names)
		},
	}
	cmd.Flags().StringVarP(&dir, "output", "o", "", "folder to write all schemas into")
	return cmd
}

// subjects are all files that have a schema.
func subjects() []strict.Subject {
	// Each reads its settings before it looks at its own.
	types := map[string]subscribers.Type{"webhook": &webhook.Channel{}, "fhir": &fhirmsg.Channel{}, "email": &email.Channel{}, "sms": &sms.Channel{}, "push": &push.Channel{}}
	return slices.Concat(config.Subjects(), routing.Subjects(), subscribers.Subjects(types, map[string]string{
		"webhook.url": "https address that events are posted to", "webhook.secret": "which signs them", "webhook.secrets": "while one is changed: the new and the old",
		"webhook.format": "of the body",
		"fhir.url":       "base of a FHIR server", "fhir.token": "sent as a bearer token",
		"email.to": "one bare address", "email.content": "how much a mail tells, by default a link",
		"sms.to": "number with its country, such as +447700900123",
	}))
}

func subjectNames() (names []string) {
	for _, s := range subjects() {
		names = append(names, s.Name)
	}
	return names
}

func schemaText(s strict.Subject) []byte {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	_ = enc.Encode(s.Schema()) // maps and strings always marshal
	return out.Bytes()
}

func writeSchemas(dir string) error {
	err := os.MkdirAll(dir, 0o755) // #nosec G301 -- schemas are public
	if err != nil {
		return err
	}
	for _, s := range subjects() {
		err := os.WriteFile(filepath.Join(dir, s.Name+".json"), schemaText(s), 0o644) // #nosec G306 -- schemas are public
		if err != nil {
			return err
		}
	}
	return nil
}
