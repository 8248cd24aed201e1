"""What crictl would do: two calls of the Container Runtime Interface. cri-tools itself is in no module proxy.

    cri SOCKET pull REFERENCE      prints the image's identity
    cri SOCKET digests REFERENCE   prints the repository digests it is known by
"""

VERSION = "v0.36.3"
"""Of k8s.io/cri-api: the one that Kubernetes v1.36.3 speaks. containerd 1.6 speaks the same v1."""

SOURCE = """\
package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func main() {
	if len(os.Args) != 4 {
		fail(fmt.Errorf("usage: cri SOCKET pull|digests REFERENCE"))
	}
	conn, err := grpc.NewClient("unix://"+os.Args[1], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		fail(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	images, spec := cri.NewImageServiceClient(conn), &cri.ImageSpec{Image: os.Args[3]}
	switch os.Args[2] {
	case "pull":
		answer, err := images.PullImage(ctx, &cri.PullImageRequest{Image: spec})
		if err != nil {
			fail(err)
		}
		fmt.Println(answer.ImageRef)
	case "digests":
		answer, err := images.ImageStatus(ctx, &cri.ImageStatusRequest{Image: spec})
		if err != nil {
			fail(err)
		}
		fmt.Println(strings.Join(answer.GetImage().GetRepoDigests(), "\\n"))
	default:
		fail(fmt.Errorf("no such call: %s", os.Args[2]))
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
"""
