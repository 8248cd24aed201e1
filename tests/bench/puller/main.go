// Puller asks a registry for blobs and throws the bytes away: a client that costs as little as one can, written in Go
// because the clients of registries are. It offers the TLS settings that they offer, so both servers choose from those.
//
// Paths and sizes come on stdin, one pair a line. Each of -clients asks for all of them, one after another, on one
// connection; it does so -rounds times, each time on a new connection. Status and length of every answer are checked.
// It prints the seconds that all took together and the bytes that came.
package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"
)

type wanted struct {
	request []byte
	size    int
}

// source reads from one connection. What it throws away is not copied where the kernel can help (MSG_TRUNC, tcp(7)).
type source struct {
	conn   net.Conn
	raw    syscall.RawConn
	buffer []byte
	held   []byte
}

func (s *source) head() ([]byte, error) {
	for {
		if end := bytes.Index(s.held, []byte("\r\n\r\n")); end >= 0 {
			head := s.held[:end+4]
			s.held = s.held[end+4:]
			return head, nil
		}
		if len(s.held) > 64<<10 {
			return nil, fmt.Errorf("a head without an end")
		}
		kept := copy(s.buffer, s.held)
		count, err := s.conn.Read(s.buffer[kept:])
		if err != nil {
			return nil, err
		}
		s.held = s.buffer[:kept+count]
	}
}

func (s *source) discard(left int) error {
	if len(s.held) >= left {
		s.held = s.held[left:]
		return nil
	}
	left -= len(s.held)
	s.held = nil
	for left > 0 {
		count, err := s.skip(min(left, len(s.buffer)))
		if err != nil {
			return err
		}
		left -= count
	}
	return nil
}

func (s *source) skip(most int) (count int, err error) {
	if s.raw == nil {
		return s.conn.Read(s.buffer[:most])
	}
	failed := s.raw.Read(func(fd uintptr) bool {
		count, _, err = syscall.Recvfrom(int(fd), s.buffer[:most], syscall.MSG_TRUNC)
		return err != syscall.EAGAIN
	})
	if failed != nil {
		return 0, failed
	}
	if count == 0 && err == nil {
		err = fmt.Errorf("the body ended early")
	}
	return count, err
}

func dial(address string, settings *tls.Config) (*source, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	made := &source{conn: conn, buffer: make([]byte, 1<<20)}
	if settings != nil {
		made.conn = tls.Client(conn, settings)
		return made, nil
	}
	made.raw, err = conn.(*net.TCPConn).SyscallConn()
	return made, err
}

func pull(address string, settings *tls.Config, all []wanted) error {
	s, err := dial(address, settings)
	if err != nil {
		return err
	}
	defer s.conn.Close()
	for _, each := range all {
		if _, err := s.conn.Write(each.request); err != nil {
			return err
		}
		head, err := s.head()
		if err != nil {
			return err
		}
		length := fmt.Appendf(nil, "\r\ncontent-length: %d\r\n", each.size)
		if !bytes.HasPrefix(head, []byte("HTTP/1.1 200 ")) || !bytes.Contains(bytes.ToLower(head), length) {
			return fmt.Errorf("not what was wanted: %s", head)
		}
		if err := s.discard(each.size); err != nil {
			return err
		}
	}
	return nil
}

func read(host string) (all []wanted, total int) {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		fields := bytes.Fields(lines.Bytes())
		size, err := strconv.Atoi(string(fields[1]))
		if err != nil {
			log.Fatal(err)
		}
		// What containerd 2.3 sends for a blob.
		request := fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: containerd/2.3.3\r\n"+
			"Accept: application/vnd.oci.image.layer.v1.tar+gzip, */*\r\nAccept-Encoding: zstd;q=1.0, gzip;q=0.8, deflate;q=0.5\r\n\r\n",
			fields[0], host)
		all, total = append(all, wanted{request, size}), total+size
	}
	return all, total
}

func main() {
	address := flag.String("address", "", "host:port")
	authority := flag.String("ca", "", "TLS, with this certificate authority (PEM)")
	clients := flag.Int("clients", 1, "how many at once")
	rounds := flag.Int("rounds", 1, "how often each asks for everything")
	flag.Parse()
	var settings *tls.Config
	if *authority != "" {
		pem, err := os.ReadFile(*authority)
		if err != nil {
			log.Fatal(err)
		}
		host, _, _ := net.SplitHostPort(*address)
		settings = &tls.Config{RootCAs: x509.NewCertPool(), ServerName: host}
		settings.RootCAs.AppendCertsFromPEM(pem)
	}
	all, total := read(*address)
	began := time.Now()
	var group sync.WaitGroup
	for range *clients {
		group.Go(func() {
			for range *rounds {
				if err := pull(*address, settings, all); err != nil {
					log.Fatal(err)
				}
			}
		})
	}
	group.Wait()
	fmt.Println(time.Since(began).Seconds(), total**clients**rounds)
}
