// SPDX-License-Identifier: MIT

// Talks to ftcpd through what Debian's Go library for Varlink makes of ftcpd's own interface text,
// and prints what it gets, a name and a JSON value a line.
//
//	varlink_client ADDRESS            asks everything that changes nothing, and what is wrong
//	varlink_client ADDRESS reload     reloads
//	varlink_client ADDRESS monitor N  follows: the last N events, then those to come
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"

	"ftcpd/ioftcpd"
	"github.com/varlink/go/varlink"
)

var ctx = context.Background()

func show(name string, value interface{}) {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	fmt.Printf("%s %s\n", name, text)
}

func result(name string, err error, values map[string]interface{}) {
	if err != nil {
		wrong(name, err)
		return
	}
	show(name, values)
}

type described struct {
	Type  string
	Text  string
	Value interface{}
}

// What the library makes of an error reply: a type of its own where it knows the name.
func wrong(name string, err error) {
	d := described{Type: fmt.Sprintf("%T", err), Text: err.Error(), Value: err}
	if other, ok := err.(*varlink.Error); ok {
		d.Text, d.Value = other.Name, other.Parameters
	}
	show(name, d)
}

func ask(c *varlink.Connection) {
	var vendor, product, version, url string
	var interfaces []string
	err := c.GetInfo(ctx, &vendor, &product, &version, &url, &interfaces)
	result("info", err, map[string]interface{}{
		"vendor": vendor, "product": product, "version": version, "interfaces": interfaces})
	text, err := c.GetInterfaceDescription(ctx, "io.ftcpd")
	result("description", err, map[string]interface{}{"description": text})

	version, instance, pid, uptime, health, reasons, upstream, clients, limit, accepted, refused, crowded, to, from,
		never, dataSocket, controlSocket, err := ioftcpd.Status().Call(ctx, c)
	result("status", err, map[string]interface{}{
		"version": version, "instance": instance, "pid": pid, "uptimeUsec": uptime,
		"health": health, "reasons": reasons, "upstream": upstream, "clients": clients, "clientsLimit": limit,
		"clientsAccepted": accepted, "clientsRefused": refused, "clientsCrowded": crowded, "toUpstream": to,
		"toClients": from, "refused": never,
		"dataSocket": dataSocket, "controlSocket": controlSocket})
	health, reasons, err = ioftcpd.Health().Call(ctx, c)
	result("health", err, map[string]interface{}{"health": health, "reasons": reasons})
	list, err := ioftcpd.ListClients().Call(ctx, c)
	result("clients", err, map[string]interface{}{"clients": list})
	events, err := ioftcpd.RecentEvents().Call(ctx, c)
	result("events", err, map[string]interface{}{"events": events})
	settings, err := ioftcpd.GetConfig().Call(ctx, c)
	result("config", err, map[string]interface{}{"settings": settings})
}

// Each on the same connection, which goes on after an error.
func askWrongly(c *varlink.Connection) {
	var nothing struct{}
	_, err := ioftcpd.Monitor().Call(ctx, c, nil)
	wrong("monitor-without-more", err)
	wrong("method", c.Call(ctx, "io.ftcpd.Nothing", nil, &nothing))
	wrong("interface", c.Call(ctx, "io.nobody.Status", nil, &nothing))
	parameters := map[string]interface{}{"wrong": 1}
	wrong("parameter", c.Call(ctx, "io.ftcpd.Status", parameters, &nothing))
	receive, err := ioftcpd.Health().Upgrade(ctx, c)
	if err == nil {
		_, _, _, _, err = receive(ctx)
	}
	wrong("upgrade", err)
	// Of these, only the last is answered, and the library takes the first reply for its own.
	for i := 0; i < 3; i++ {
		if _, err = ioftcpd.Status().Send(ctx, c, varlink.Oneway); err != nil {
			wrong("oneway", err)
		}
	}
	health, reasons, err := ioftcpd.Health().Call(ctx, c)
	result("behind-oneway", err, map[string]interface{}{"health": health, "reasons": reasons})
}

func reload(c *varlink.Connection) {
	err := ioftcpd.Dispatch_Error(ioftcpd.Reload().Call(ctx, c))
	result("reload", err, map[string]interface{}{})
}

func monitor(c *varlink.Connection, history int64) {
	receive, err := ioftcpd.Monitor().Send(ctx, c, varlink.More, &history)
	for err == nil {
		var event ioftcpd.Event
		var flags uint64
		event, flags, err = receive(ctx)
		result("event", err, map[string]interface{}{
			"event": event, "continues": flags&varlink.Continues != 0})
	}
}

func main() {
	c, err := varlink.NewConnection(ctx, os.Args[1])
	if err != nil {
		wrong("connect", err)
		os.Exit(1)
	}
	defer c.Close()
	if len(os.Args) == 2 {
		ask(c)
		askWrongly(c)
	} else if os.Args[2] == "reload" {
		reload(c)
	} else {
		history, _ := strconv.ParseInt(os.Args[3], 10, 64)
		monitor(c, history)
	}
}
