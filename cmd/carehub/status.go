package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"carehub/events"
	"carehub/events/receipts"
)

// statusCommand is carehub status: who has been told of an event.
func statusCommand() *cobra.Command {
	var f hubFlags
	var watch, asJSON bool
	cmd := &cobra.Command{
		Use:   "status ID",
		Short: "Show who has been told of an event",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 || !events.ValidID(args[0]) {
				return misused("give the id of one event, as carehub log printed it")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := f.client()
			if err != nil {
				return err
			}
			if watch {
				err = watchStatus(cmd.Context(), c, cmd.OutOrStdout(), args[0], asJSON)
			} else {
				err = showStatus(cmd.Context(), c, cmd.OutOrStdout(), args[0], asJSON)
			}
			if _, ok := errors.AsType[*refusal](err); err != nil && !ok {
				err = fmt.Errorf("the hub could not be reached: %w", err)
			}
			return err
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&watch, "watch", false, "go on until the hub is done with everyone")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the API's JSON, one object a line")
	return cmd
}

func showStatus(ctx context.Context, c client, out io.Writer, id string, asJSON bool) error {
	v, raw, err := c.get(ctx, id)
	if err != nil {
		return err
	}
	if asJSON {
		_, err := fmt.Fprintf(out, "%s\n", raw)
		return err
	}
	printStatus(out, v)
	for _, r := range v.Recipients {
		fmt.Fprintln(out, r.Words)
	}
	return nil
}

// watchStatus prints how things stand and then each change.
func watchStatus(ctx context.Context, c client, out io.Writer, id string, asJSON bool) error {
	lines, headed := receiptLines(out), false
	return c.follow(ctx, id, func(name string, data []byte) bool {
		if asJSON {
			if name != "settled" {
				fmt.Fprintf(out, "%s\n", data)
			}
			return name == "settled"
		}
		var v receipts.View
		if name == "receipts" && !headed && json.Unmarshal(data, &v) == nil {
			printStatus(out, v)
			headed = true
		}
		return lines(name, data)
	})
}

func printStatus(out io.Writer, v receipts.View) {
	fmt.Fprintf(out, "%s (%s), %s, reference %s\n%s\n", nouns[v.Kind], v.Patient,
		v.Occurred.Format("Monday 2 January 2006, 15:04 (-07:00)"), events.Ref(v.ID), v.Message)
}
