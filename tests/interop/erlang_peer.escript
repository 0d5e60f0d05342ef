#!/usr/bin/env escript
%% SPDX-License-Identifier: MIT
%%! +sbwt none
%%
%% Erlang's own {packet,4} as one end of ftcpd.
%%
%%     erlang_peer.escript upstream SEND RECEIVE BIGGEST    listens on 127.0.0.1, takes one connection
%%     erlang_peer.escript client   SEND RECEIVE BIGGEST PATH
%%
%% Prints "port N" (upstream) and "connected". A line on stdin starts it: it sends SEND messages of
%% random sizes up to BIGGEST and at the same time receives RECEIVE messages, and prints
%% "sent SIZE CRC32" and "received SIZE CRC32" for each, then "done". It goes when stdin ends.

-define(OPTIONS, [binary, {packet, 4}, {active, false}]).

main(["upstream", Send, Receive, Biggest]) ->
    {ok, Listener} = gen_tcp:listen(0, [{ip, {127,0,0,1}} | ?OPTIONS]),
    {ok, Port} = inet:port(Listener),
    say("port ~b", [Port]),
    {ok, Socket} = gen_tcp:accept(Listener),
    run(Socket, Send, Receive, Biggest);
main(["client", Send, Receive, Biggest, Path]) ->
    {ok, Socket} = gen_tcp:connect({local, Path}, 0, [local | ?OPTIONS]),
    run(Socket, Send, Receive, Biggest).

run(Socket, Send, Receive, Biggest) ->
    say("connected", []),
    _ = io:get_line(""),
    Main = self(),
    spawn_link(fun() ->
                   send(Socket, list_to_integer(Send), list_to_integer(Biggest)),
                   Main ! sent
               end),
    recv(Socket, list_to_integer(Receive)),
    receive sent -> ok end,
    say("done", []),
    eof = io:get_line("").

send(_, 0, _) -> ok;
send(Socket, N, Biggest) ->
    Message = rand:bytes(size(Biggest, rand:uniform(10))),
    ok = gen_tcp:send(Socket, Message),
    say("sent ~b ~b", [byte_size(Message), erlang:crc32(Message)]),
    send(Socket, N - 1, Biggest).

size(_, 1) -> 0;
size(Biggest, 2) -> Biggest;
size(Biggest, Kind) when Kind < 6 -> rand:uniform(min(Biggest, 64));
size(Biggest, _) -> rand:uniform(Biggest).

recv(_, 0) -> ok;
recv(Socket, N) ->
    {ok, Message} = gen_tcp:recv(Socket, 0),
    say("received ~b ~b", [byte_size(Message), erlang:crc32(Message)]),
    recv(Socket, N - 1).

say(Format, Arguments) -> io:format(Format ++ "~n", Arguments).
