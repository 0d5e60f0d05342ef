/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The layers below the edge in a simulated kernel, for the recovery test. A *plan* is what the peer
 * and the clients will ever send, fixed beforehand. A *world* is the kernel and the truth: what was
 * read, written and acknowledged, and what each reader must see next; it is plain data, so that a
 * crash can copy it. A *side* is the daemon: logs, turn, ledger, cursors on one image. It is driven
 * by the world's random numbers, so that a recovered side goes on with the same scenario. Its
 * readers are bare cursors, or those of core/spread.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "audience.h"
#include "flow/ledger.h"
#include "flow/spread.h"
#include "flow/turn.h"
#include "store/cursor.h"

enum {
        SIM_CLIENTS = 96, /* that ever connect */
        SIM_SLOTS = 16,   /* at once */
        SIM_DOWN = 4096,  /* messages */
        SIM_ORDER = 8192,
        SIM_KEY =
                9, /* the first bytes of a body tell whose it is: M, client, number; or I, number */
        SIM_IOV = 8,
};

struct stream {
        unsigned char *data;
        uint64_t *boundary; /* n + 1 */
        uint32_t n;
};

struct plan {
        const char *name;
        struct frame_spec spec;
        uint64_t seed;
        uint32_t steps;
        uint32_t large;           /* of 1000 messages, how many are larger than a slab */
        uint32_t down_n, up_n;    /* messages of the peer, of each client */
        uint32_t closed, senders; /* of 100 clients, how many read extents, how many nothing */
        uint32_t slots;
        bool empty_heartbeat; /* else it has a body like any message */
        bool spread;          /* readers of core/spread, */
        bool balance;         /* dealt to at first */
        /* Made from these: */
        struct stream down, up[SIM_CLIENTS];
        unsigned char heartbeat[64];
        size_t heartbeat_size;
        struct log_filter filter;
};

void plan_make(struct plan *plan);
void plan_done(struct plan *plan);

/* Where a message of the peer begins; the context is a plan. */
uint64_t plan_pos(const void *context, uint32_t message);

/* A frame with this body; returns its size. */
size_t plan_frame(const struct frame_spec *spec, const void *body, size_t size, unsigned char *out);

enum sim_kind { SIM_OPEN, SIM_CLOSED, SIM_SENDER };
enum sim_state { SIM_AWAY, SIM_THERE, SIM_DEAD, SIM_GONE }; /* dead: not yet disposed of */

struct sim_client {
        enum sim_state state;
        enum sim_kind kind;
        uint64_t read; /* bytes that the daemon read */
        uint32_t sent; /* whole messages in them */
        uint32_t at;   /* the message that it is to get next, and how much of it it has */
        uint64_t at_off;
        struct count got;
        uint32_t jump_at, jump_to; /* at message jump_at it goes on with jump_to; 0: no jump */
        uint32_t out;              /* messages that the peer got */
};

/* What is done to the readers. */
enum sim_op {
        OP_NONE,
        OP_JOIN,
        OP_TRUST,
        OP_LEAVE,
        OP_SHORTEN,
        OP_DONE,
        OP_TAKE,
        OP_CONFIGURE,
        OP_SEND,
};

enum sim_conn { CONN_NONE, CONN_NEW, CONN_UP, CONN_DEAD };

struct world {
        const struct plan *plan;
        uint64_t rng, now;
        uint32_t step;
        const char *doing;
        struct sim_client client[SIM_CLIENTS];
        uint32_t n_clients;
        uint32_t given; /* messages of the peer that were given to closed cursors, or to nobody */
        uint8_t owner[SIM_DOWN]; /* client + 1 */
        /* The connection, as the kernel knows it. */
        enum sim_conn conn;
        uint64_t rx_read, written, transmitted, acked;
        uint32_t down;      /* whole messages that the peer sent */
        uint32_t rx_frames; /* of any kind, of all connections */
        bool rx_heartbeat;
        uint64_t rx_off; /* into the frame under way */
        /* What the peer parses. */
        unsigned char tx_head[48], tx_inject[48];
        bool tx_known; /* what the frame under way is: */
        uint64_t tx_size, tx_off;
        uint32_t tx_client, tx_seq;         /* client SIM_CLIENTS: injected */
        bool tx_no_new;                     /* no message may begin */
        uint32_t order[SIM_ORDER], n_order; /* client << 16 | number, as first begun */
        uint64_t order_bytes[SIM_ORDER + 1];
        uint64_t ends[SIM_ORDER]; /* TCP offsets of messages of this connection */
        uint32_t first, index;    /* in order: of the connection, of what comes next */
        uint32_t begun;           /* of earlier connections */
        struct count sent, resent;
        uint32_t cuts;
        uint32_t inject, inject_seen; /* numbers accepted, seen by the peer */
        uint64_t inject_end;
        /* Half done when a crash comes: */
        struct {
                uint32_t client, from, to; /* client + 1; 0: none */
        } jumping, extending;
        bool injecting;
        enum sim_op op;
        uint32_t op_slot;
        uint64_t op_limit;
        uint64_t op_offered;  /* by the send that is under way */
        struct listener undo; /* what a reader had before the send that is under way */
        /* The configuration, and who has what by it; a reader's number is that of its slot. */
        bool balance;
        uint64_t backlog_size, queue_size;
        struct audience audience;
        uint32_t dealt;       /* messages that were given to somebody, as far as this was noted: */
        bool alone[SIM_DOWN]; /* to one alone */
        bool touched[SIM_DOWN]; /* somebody got the first byte of it */
};

void world_init(struct world *world, const struct plan *plan);
uint64_t world_random(struct world *world, uint64_t below);
__attribute__((noreturn)) void world_fail(const struct world *world, const char *what);

static inline void world_check(const struct world *world, bool good, const char *what)
{
        if (!good)
                world_fail(world, what);
}

/* The kernel's calls: how many bytes went. */
uint64_t world_client_recv(struct world *world, uint32_t client, const struct iovec *iov, int n);
uint64_t world_client_send(struct world *world, uint32_t client, const struct iovec *iov, int n,
                           uint64_t most);
/* To one that is trusted if it takes these; the model follows later. */
void world_offer(struct world *world, uint32_t slot, const struct iovec *iov, int n, uint64_t most);
uint64_t world_reader_send(struct world *world, uint32_t slot, const struct iovec *iov, int n,
                           uint64_t most);
uint64_t world_tcp_recv(struct world *world, const struct iovec *iov, int n);
uint64_t world_tcp_send(struct world *world, const struct iovec *iov, int n, uint64_t most);

/* Bytes that the peer's connection still brings; the heartbeats between them not counted. */
bool world_tcp_drained(const struct world *world);

/* Returns what is skipped. */
struct count world_jump(struct world *world, uint32_t client, uint32_t to);
struct count world_queued(const struct world *world, uint32_t client);

/* Of this connection: messages whose last byte is before a TCP offset. */
uint32_t world_ended(const struct world *world, uint64_t offset);
struct count world_order(const struct world *world, uint32_t from, uint32_t to);

/*
 * How the connection's end must be told; and then it is gone. in_message: is the frame under way a
 * message, where its first bytes do not tell? Its size is not known then: unsent.bytes is
 * UINT64_MAX.
 */
struct ledger_end world_cut(struct world *world, bool in_message);

/* Bytes of UINT64_MAX in b are not known. */
bool sim_same(struct count a, struct count b);

/* ---- the daemon ---- */

struct side {
        struct store store;
        struct log in, out;
        struct turn turn;
        struct ledger ledger;
        struct writer writer[SIM_SLOTS];
        struct cursor cursor[SIM_SLOTS]; /* or: */
        struct spread spread;
        struct reader reader[SIM_SLOTS];
        const struct plan *plan;
        struct world *world;
};

void side_init(struct side *side, struct world *world);

/* Takes up an image (the descriptor is the side's from here on) and what the kernel did besides. */
void side_recover(struct side *side, struct world *world, int fd);

/* Only takes it up, as it is; returns what recover_image() says, or what store_open() would. */
const char *side_open(struct side *side, const struct plan *plan, int fd);
void side_done(struct side *side);
void side_init_logs(struct side *side, bool recovered);
void side_step(struct side *side);

/* Everything that is to come, comes. */
void side_finish(struct side *side);
void side_check(struct side *side);

/* To the end of the scenario. */
void side_run(struct side *side);

/* ---- what happens at random ---- */

struct act {
        const char *name;
        unsigned weight;
        void (*act)(struct side *side);
};

/* One of these, each as often as its weight says. */
void side_any_act(struct side *side, const struct act *acts, size_t n);

void side_connect(struct side *side);
void side_vanish(struct side *side);

/* A slot in use, or SIM_SLOTS. */
uint32_t side_any_slot(struct side *side);
uint64_t side_any_size(struct world *world);

/* A crash may come here, too, where the kernel did something and no store says so yet. */
void side_crash_point(void);

/* ---- readers of core/spread ---- */

void side_join(struct side *side, uint32_t slot);
void side_trust(struct side *side, uint32_t slot);
void side_leave(struct side *side, uint32_t slot);
void side_shorten(struct side *side, uint32_t slot, uint64_t limit);
void side_reader_done(struct side *side, uint32_t slot);
void side_configure(struct side *side, bool balance, uint64_t backlog_size, uint64_t queue_size);
void side_taken(struct side *side);
void side_sends(struct side *side, uint32_t slot, uint64_t bytes); /* a send begins */
void side_sent(struct side *side);
void side_check_readers(struct side *side);
bool side_write_reader(struct side *side, uint32_t slot, size_t limit);
void side_reader_act(struct side *side); /* one of all that may happen */

/* After a crash: how far the model gets; then the side takes up its readers, and goes on. */
void side_settle_readers(struct side *side);
void side_open_readers(struct side *side);
void side_recover_readers(struct side *side);

/* ---- what recovery does, too ---- */

struct image_client *side_client(const struct side *side, uint32_t slot);
uint32_t side_number(const struct side *side, uint32_t slot); /* in the world */
void side_take_received(struct side *side, uint64_t read);
void side_give(struct side *side);
void side_dispose(struct side *side, uint32_t slot);
void side_connection_ends(struct side *side);
void world_given(struct world *world, uint32_t c, uint32_t from, uint32_t to);

/*
 * Only what is in use: the image is 64 GiB of nearly nothing. known: the store that works on it,
 * where it knows which slabs are in use; NULL: all of them.
 */
void sim_copy_image(struct image *to, const struct image *from, const struct store *known,
                    uint32_t slabs, uint32_t extents);
