package signin

import (
	"math"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// How often links that the hub does not know may be tried. A good link counts for nothing, so that a whole team can sign in from
// behind one address. While there are very many guesses from everywhere, an address has few of its own left, but whoever holds
// a good link gets in: to turn everybody away would lock the carers out for whoever wants that.
const (
	guesses      = 20 // from one address, and then one every guessEvery
	guessEvery   = time.Minute
	fewGuesses   = 3 // from one address, while there are too many from all
	allGuesses   = 500
	allEvery     = time.Second
	mostGuessers = 10_000 // addresses watched at once; beyond that all start afresh, and those from everywhere count still
)

// guard counts guesses at the secret of an invitation. Its zero value has counted none.
type guard struct {
	mu  sync.Mutex
	all *rate.Limiter
	by  map[string]*rate.Limiter
}

// wait counts a link that an address tries, if it is not known, and returns how long the address has to wait before it may
// try any; 0 if it may now.
func (g *guard) wait(from string, known bool, now time.Time) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.by == nil {
		g.all, g.by = rate.NewLimiter(rate.Every(allEvery), allGuesses), map[string]*rate.Limiter{}
	}
	one, watched := g.by[from]
	if watched {
		needed := 1.0
		if g.all.TokensAt(now) < 1 {
			needed += guesses - fewGuesses
		}
		if missing := needed - one.TokensAt(now); missing > 0 {
			return time.Duration(math.Ceil(missing*guessEvery.Seconds())) * time.Second
		}
	}
	if known {
		return 0
	}
	if !watched {
		if len(g.by) >= mostGuessers {
			clear(g.by)
		}
		one = rate.NewLimiter(rate.Every(guessEvery), guesses)
		g.by[from] = one
	}
	g.all.AllowN(now, 1)
	one.AllowN(now, 1)
	return 0
}

// slow turns away whoever has tried too many links that are not known, whether or not this one is.
func (s *Service) slow(w http.ResponseWriter, r *http.Request) bool {
	hash := hashOf(r.PathValue("token"))
	s.mu.RLock()
	_, known := s.invites[hash]
	s.mu.RUnlock()
	wait := s.guard.wait(network(address(r)), known, s.Clock())
	if wait == 0 {
		return false
	}
	w.Header().Set("Retry-After", strconv.Itoa(int(wait.Seconds())))
	s.write(w, r, http.StatusTooManyRequests, "slow.title", "slow.problem", body{})
	return true
}

// address is the network address that a request comes from.
func address(r *http.Request) string {
	from, _, _ := net.SplitHostPort(r.RemoteAddr)
	return from
}

// network is what one guesser is counted by: of IPv6 the first 64 bits, for a house has all the others (RFC 6177).
func network(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil || ip.Unmap().Is4() {
		return address
	}
	net, err := ip.WithZone("").Prefix(64)
	if err != nil {
		return address
	}
	return net.String()
}
