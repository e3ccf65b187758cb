// Command packageserver serves real PackageManifests from the sandbox's catalogs.
//
// OLM's own main insists on in-cluster configuration for delegated authorization, which does not exist outside a
// cluster, so this one runs the same server with that check off. It binds loopback only.
package main

import (
	"context"
	"flag"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/operator-framework/operator-lifecycle-manager/pkg/package-server/server"
)

func main() {
	kubeconfig := flag.String("kubeconfig", "", "kubeconfig of the sandbox's API server")
	port := flag.Int("port", 0, "TCP port to serve on, on 127.0.0.1")
	certDir := flag.String("cert-dir", "", "directory for the self-signed serving certificate")
	namespace := flag.String("global-namespace", "openshift-marketplace", "namespace whose catalogs are global")
	flag.Parse()
	if *kubeconfig == "" || *port == 0 || *certDir == "" {
		log.Fatal("--kubeconfig, --port and --cert-dir are required")
	}

	options := server.NewPackageServerOptions(os.Stdout, os.Stderr)
	options.Kubeconfig = *kubeconfig
	options.GlobalNamespace = *namespace
	options.DisableAuthForTesting = true
	options.SecureServing.BindAddress = net.IPv4(127, 0, 0, 1)
	options.SecureServing.BindPort = *port
	options.SecureServing.ServerCert.CertDirectory = *certDir

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := options.Run(ctx); err != nil {
		log.Fatal(err)
	}
}
