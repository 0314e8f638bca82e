// Command carehub tells everyone who should know when a carer logs that something happened to the person they care for.
// It is the hub (serve), the carer's and the admin's commands, and a demo of all of it; one file for each verb.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // a minimal container has no time zones of its own

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := rootCommand().ExecuteContext(ctx)
	stop()
	if err == nil {
		return
	}
	code := 1
	if exit, ok := errors.AsType[exitError](err); ok {
		code = exit.code
	}
	if err.Error() != "" {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{Use: "carehub", Short: "Tell everyone who should know", Version: version,
		SilenceErrors: true, SilenceUsage: true}
	root.SetOut(os.Stdout)
	root.AddCommand(serveCommand(), demoCommand(), readyCommand(), reloadCommand(),
		checkCommand(), whoCommand(), routesCommand(), simulateCommand(), schemaCommand(),
		tokenCommand(), inviteCommand(), revokeCommand(), sessionsCommand(), subscriberCommand(), clientCommand(),
		logCommand(), statusCommand(), heldCommand(), endpointCommand(), listenCommand(), triggerCommand(),
		storeCommand(), backupCommand(), restoreCommand(), auditCommand(), patientsCommand(), forgetCommand())
	return root
}
