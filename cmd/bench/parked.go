package main

import "context"

var parked = measurement{name: "parked", title: "300,000 deliveries wait for one dead recipient", long: true, run: measureParked,
	about: "One of two recipients is dead while 300,000 events are logged. What the waiting ones cost in memory, how soon after a restart the " +
		"hub tells the other recipient of something new, and how the backlog goes once the dead one is back: the receivers' file says " +
		"whether all of it came, and in order."}

// backlog is what cmd/chaos parked -json says of a run.
type backlog struct {
	Parked      int     `json:"parked"`
	IdleMB      float64 `json:"idle_mb"`
	ParkedMB    float64 `json:"parked_mb"`
	RestartedMB float64 `json:"restarted_mb"`
	Stopped     float64 `json:"stopped_s"`
	Killed      float64 `json:"killed_s"`
	Drain       float64 `json:"drain_s"`
	DrainMB     float64 `json:"drain_mb"`
	Lost        int     `json:"lost"`
	OutOfOrder  int     `json:"out_of_order"`
}

func measureParked(ctx context.Context, b *bench) ([]figure, error) {
	var f backlog
	if err := b.chaos(ctx, &f, "parked", "-n", b.some(300_000, 2000)); err != nil {
		return nil, err
	}
	return []figure{
		{Name: "parked", Value: float64(f.Parked), Unit: "deliveries"},
		figure{Name: "memory above idle", Value: f.ParkedMB - f.IdleMB, Unit: "MB"}.atMost(150),
		figure{Name: "memory above idle, after a restart", Value: f.RestartedMB - f.IdleMB, Unit: "MB"}.atMost(150),
		{Name: "memory above idle, at most while it drains", Value: f.DrainMB - f.IdleMB, Unit: "MB"},
		figure{Name: "start to telling others, after a stop", Value: f.Stopped, Unit: "s"}.atMost(5),
		figure{Name: "start to telling others, after kill -9", Value: f.Killed, Unit: "s"}.atMost(5),
		{Name: "drained", Value: float64(f.Parked) / f.Drain, Unit: "deliveries/s"},
		figure{Name: "deliveries lost", Value: float64(f.Lost)}.atMost(0),
		figure{Name: "first arrivals out of order", Value: float64(f.OutOfOrder)}.atMost(0),
	}, nil
}
