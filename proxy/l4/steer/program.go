package steer

import (
	"encoding/binary"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"

	"gatehouse/proxy/l4"
)

// place is a key of the map of places: an address as IPv6 has it (that of
// IPv4 mapped), then port<<16 | protocol in the host's byte order.
type place [20]byte

func placeOf(d *l4.Door) (key place) {
	a16 := d.Addr.Addr().As16()
	copy(key[:], a16[:])
	binary.NativeEndian.PutUint32(key[16:], uint32(d.Addr.Port())<<16|uint32(d.Protocol))
	return key
}

// Where struct bpf_sk_lookup of linux/bpf.h has its fields.
const (
	offFamily    = 8
	offProtocol  = 12
	offLocalIP4  = 40
	offLocalIP6  = 44
	offLocalPort = 60 // in the host's byte order
)

// Where the program keeps a place on its stack.
const (
	stackPlace = -20
	stackPort  = stackPlace + 16
)

// program is what the kernel runs for a lookup:
//
//	i := places[address, port], or else places[address, 0]
//	choose sockets[i], if there are such a place and socket
//
// That replaces what a program that was attached before has chosen. Where
// none has chosen, the ordinary lookup goes on.
func program(places, sockets *ebpf.Map) *ebpf.ProgramSpec {
	const (
		skPass  = 1 // enum sk_action: not drop
		replace = 1 // BPF_SK_LOOKUP_F_REPLACE; without BPF_SK_LOOKUP_F_NO_REUSEPORT, any of the socket's group
	)
	ins := putPlace()
	ins = append(ins, find(places)...)
	ins = append(ins,
		asm.JNE.Imm(asm.R0, 0, "found"),
		asm.LoadMem(asm.R1, asm.R6, offProtocol, asm.Word), // with port 0
		asm.StoreMem(asm.RFP, stackPort, asm.R1, asm.Word),
	)
	ins = append(ins, find(places)...)
	ins = append(ins,
		asm.JEq.Imm(asm.R0, 0, "pass"),
		asm.LoadMapPtr(asm.R1, sockets.FD()).WithSymbol("found"),
		asm.Mov.Reg(asm.R2, asm.R0),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "pass"),
		asm.Mov.Reg(asm.R7, asm.R0),
		asm.Mov.Reg(asm.R1, asm.R6),
		asm.Mov.Reg(asm.R2, asm.R7),
		asm.Mov.Imm(asm.R3, replace),
		asm.FnSkAssign.Call(),
		asm.Mov.Reg(asm.R1, asm.R7),
		asm.FnSkRelease.Call(),
		asm.Mov.Imm(asm.R0, skPass).WithSymbol("pass"),
		asm.Return(),
	)
	return &ebpf.ProgramSpec{Name: "l4lb_steer", Type: ebpf.SkLookup, AttachType: ebpf.AttachSkLookup,
		Instructions: ins, License: "Apache-2.0"}
}

// putPlace puts the place that is looked for on the stack. R6 is the context
// from then on.
func putPlace() asm.Instructions {
	mapped := int64(int32(binary.NativeEndian.Uint32([]byte{0, 0, 0xff, 0xff})))
	ins := asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1),
		asm.LoadMem(asm.R1, asm.R6, offFamily, asm.Word),
		asm.JEq.Imm(asm.R1, unix.AF_INET6, "ip6"),
		asm.StoreImm(asm.RFP, stackPlace, 0, asm.Word),
		asm.StoreImm(asm.RFP, stackPlace+4, 0, asm.Word),
		asm.StoreImm(asm.RFP, stackPlace+8, mapped, asm.Word),
		asm.LoadMem(asm.R1, asm.R6, offLocalIP4, asm.Word),
		asm.StoreMem(asm.RFP, stackPlace+12, asm.R1, asm.Word),
		asm.Ja.Label("port"),
		asm.LoadMem(asm.R1, asm.R6, offLocalIP6, asm.Word).WithSymbol("ip6"),
		asm.StoreMem(asm.RFP, stackPlace, asm.R1, asm.Word),
	}
	for i := int16(4); i < 16; i += 4 {
		ins = append(ins,
			asm.LoadMem(asm.R1, asm.R6, offLocalIP6+i, asm.Word),
			asm.StoreMem(asm.RFP, stackPlace+i, asm.R1, asm.Word),
		)
	}
	return append(ins,
		asm.LoadMem(asm.R1, asm.R6, offLocalPort, asm.Word).WithSymbol("port"),
		asm.LSh.Imm(asm.R1, 16),
		asm.LoadMem(asm.R2, asm.R6, offProtocol, asm.Word),
		asm.Or.Reg(asm.R1, asm.R2),
		asm.StoreMem(asm.RFP, stackPort, asm.R1, asm.Word),
	)
}

// find looks the place on the stack up. R0 is a pointer to its value, or 0.
func find(places *ebpf.Map) asm.Instructions {
	return asm.Instructions{
		asm.LoadMapPtr(asm.R1, places.FD()),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, stackPlace),
		asm.FnMapLookupElem.Call(),
	}
}
