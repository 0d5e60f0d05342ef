/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The layers below the edge in a simulated kernel, for the recovery test. A *plan* has all messages
 * that the peer and the clients will ever send, fixed beforehand. A *world* is the kernel and the
 * truth: the bytes read, written and acknowledged, and the next message of each reader; a world is
 * plain data, and a crash copies the world. A *side* is the daemon: logs, turn, ledger and cursors
 * on one image. The world's random numbers drive a side, and a recovered side therefore goes on
 * with the same scenario. The readers of a side are bare cursors, or readers of flow/spread.
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
        SIM_CLIENTS = 96, /* in a scenario */
        SIM_SLOTS = 16,   /* at once */
        SIM_DOWN = 4096,  /* messages of the peer */
        SIM_UP = 128,     /* messages of a client, at most */
        SIM_ORDER = 8192,
        SIM_KEY = 9, /* first bytes of a body, the origin: M, client, number; or I, number */
        SIM_IOV = 8,
};

struct stream {
        unsigned char *data;
        uint64_t *boundary; /* n + 1 offsets of messages in data */
        uint32_t n;
};

struct plan {
        const char *name;
        struct frame_spec spec;
        uint64_t seed;
        uint32_t steps;
        uint32_t large;           /* of 1000 messages, how many are larger than a slab */
        uint32_t down_n, up_n;    /* number of messages of the peer, of each client */
        uint32_t closed, senders; /* of 100 clients, how many read extents, how many nothing */
        uint32_t slots;
        bool empty_heartbeat; /* otherwise a heartbeat has a body, as a message has */
        bool answers;         /* each heartbeat is answered amid log_take() */
        bool discards;        /* without a connection, whole messages of clients are dropped */
        bool spread;          /* readers of flow/spread */
        bool balance;         /* their mode at first */
        bool scant;           /* extents are scarce for them */
        /* Made from these: */
        struct stream down, up[SIM_CLIENTS];
        unsigned char heartbeat[64];
        size_t heartbeat_size;
        struct log_filter filter;
};

/* Makes the streams, the heartbeat and the filter of a plan from its other fields. */
void plan_make(struct plan *plan);

/* Frees the streams. */
void plan_done(struct plan *plan);

/* Returns the position of a message of the peer; context is a plan. */
uint64_t plan_pos(const void *context, uint32_t message);

/* Writes a frame with this body to out. Returns its size. */
size_t plan_frame(const struct frame_spec *spec, const void *body, size_t size, unsigned char *out);

enum sim_kind { SIM_OPEN, SIM_CLOSED, SIM_SENDER };
enum sim_state { SIM_AWAY, SIM_THERE, SIM_DEAD, SIM_GONE }; /* dead: no side_dispose() yet */

struct sim_client {
        enum sim_state state;
        enum sim_kind kind;
        uint64_t read;          /* bytes that the daemon read */
        uint32_t sent;          /* whole messages in these bytes */
        uint64_t partial_since; /* when the message behind began */
        uint32_t at;            /* next message for the client, of which at_off bytes were sent */
        uint64_t at_off;
        struct count got;
        uint32_t jump_at, jump_to; /* message jump_to follows instead of jump_at; 0: no jump */
        uint32_t out;              /* messages that the peer got, or that were discarded */
};

/* The operation on readers that is under way. */
enum sim_op {
        OP_NONE,
        OP_JOIN,
        OP_TRUST,
        OP_LEAVE,
        OP_SHORTEN,
        OP_DONE,
        OP_TAKE,
        OP_SETTLE,
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
        uint32_t given;          /* messages of the peer given to closed cursors, or to no cursor */
        uint8_t owner[SIM_DOWN]; /* client + 1; 0: none */
        /* The connection in the kernel. */
        enum sim_conn conn;
        uint64_t rx_read, written, transmitted, acked;
        uint32_t down;      /* whole messages that the peer sent */
        uint32_t rx_frames; /* of any kind, of all connections */
        bool rx_heartbeat;
        uint64_t rx_off; /* into the frame under way */
        /* The peer's parser of the bytes sent. */
        unsigned char tx_head[48], tx_inject[48];
        bool tx_known; /* size and origin of the frame under way are known */
        uint64_t tx_size, tx_off;
        uint32_t tx_client, tx_seq; /* client SIM_CLIENTS: injected */
        bool tx_no_new;             /* no message may begin */
        uint32_t n_order;
        uint32_t first, index; /* in order: first message of the connection; next message */
        uint32_t begun;        /* in order: behind the last message begun on earlier connections */
        struct count sent, resent;
        uint32_t cuts;
        uint32_t inject, inject_seen; /* last number injected; last number seen by the peer */
        uint64_t inject_end;
        /* Operations that a crash may cut short: */
        struct {
                uint32_t client, from, to; /* client + 1; 0: none */
        } jumping, extending, discarding;
        struct count discarded;
        bool is_discarded[SIM_CLIENTS][SIM_UP];
        bool ends_lingering; /* the connection that ends lingers */
        bool linger_ends;
        uint64_t lingers;            /* epoch of the connection that lingers; 0: none */
        enum ledger_unheard unheard; /* what this connection waits for, heard or not */
        uint32_t down_first;         /* whole messages before this connection */
        uint32_t connects;           /* ended connections on which the peer was heard */
        enum sim_op op;
        uint32_t op_slot;
        uint64_t op_limit;
        uint64_t op_offered;  /* bytes of the send under way */
        struct listener undo; /* the reader before the send under way */
        /* The configuration, and the model of the readers; a reader's number is its slot. */
        bool balance;
        uint64_t backlog_size, queue_size;
        uint32_t dealt;         /* messages of the peer with `alone` set */
        bool alone[SIM_DOWN];   /* dealt: for one reader alone */
        bool touched[SIM_DOWN]; /* a reader got the first byte */
        /* Large, and mostly empty: world_parts() tells how much of them is in use. */
        uint64_t order_bytes[SIM_ORDER + 1];
        uint64_t ends[SIM_ORDER];  /* TCP offsets of messages of this connection */
        uint32_t order[SIM_ORDER]; /* client << 16 | number, by first begin */
        struct audience audience;  /* of a plan with readers of flow/spread */
};

enum { WORLD_PARTS = 5 };

struct world_part {
        size_t at, size; /* bytes of struct world, from a whole word on */
};

/* Begins a scenario: no clients, no connection. */
void world_init(struct world *world, const struct plan *plan);

/* Tells the parts of a world in use. */
void world_parts(const struct world *world, struct world_part part[WORLD_PARTS]);

/* Copies the parts in use. */
void world_copy(struct world *to, const struct world *from);

/* Returns a random number from 0 to below - 1. */
uint64_t world_random(struct world *world, uint64_t below);

/* Fails the test; the words name the plan, the seed and the step. */
__attribute__((noreturn)) void world_fail(const struct world *world, const char *what);

static inline void world_check(const struct world *world, bool good, const char *what)
{
        if (!good)
                world_fail(world, what);
}

/* The kernel's calls. Each returns the number of bytes moved; a send moves at most `most`, and
 * fails the test if the receiver gets wrong bytes. */

/* The daemon reads from a client's socket. */
uint64_t world_client_recv(struct world *world, uint32_t client, const struct iovec *iov, int n);

/* The daemon sends to a client with a bare cursor. */
uint64_t world_client_send(struct world *world, uint32_t client, const struct iovec *iov, int n,
                           uint64_t most);

/* The daemon offers backlog to a reader that waits. The model changes later, at the trust. */
void world_offer(struct world *world, uint32_t slot, const struct iovec *iov, int n, uint64_t most);

/* The daemon sends to a reader of flow/spread. */
uint64_t world_reader_send(struct world *world, uint32_t slot, const struct iovec *iov, int n,
                           uint64_t most);

/* The daemon reads from the peer. */
uint64_t world_tcp_recv(struct world *world, const struct iovec *iov, int n);

/* The daemon sends to the peer. */
uint64_t world_tcp_send(struct world *world, const struct iovec *iov, int n, uint64_t most);

/* True if the peer has sent all messages of the plan, and no frame of the peer is under way. */
bool world_tcp_drained(const struct world *world);

/* Moves a client ahead to message `to`, behind a message begun. Returns the count skipped. */
struct count world_jump(struct world *world, uint32_t client, uint32_t to);

/* Returns the count of the messages queued for a client with a bare cursor. */
struct count world_queued(const struct world *world, uint32_t client);

/* Returns the number of messages of this connection with the last byte before a TCP offset. */
uint32_t world_ended(const struct world *world, uint64_t offset);

/* True if what the peer has sent makes acknowledgements count. */
bool world_heard(const struct world *world);

/* Returns how many messages of `order` are delivered. */
uint32_t world_delivered(const struct world *world, uint64_t acked);

/* Returns the count of the messages [from, to) of `order`. */
struct count world_order(const struct world *world, uint32_t from, uint32_t to);

/*
 * Ends the connection. Returns the end that the ledger must tell. in_message: the frame under way
 * is a message; used while too few bytes of the frame were written for its key, and its size is
 * therefore unknown: unsent.bytes may be UINT64_MAX.
 */
struct ledger_end world_cut(struct world *world, bool in_message);

/* True if the counts are equal. UINT64_MAX bytes in b equal any number. */
bool sim_same(struct count a, struct count b);

/* ---- the daemon ---- */

struct side {
        struct store store;
        struct log in, out;
        struct turn turn;
        struct ledger ledger;
        struct writer writer[SIM_SLOTS];
        struct cursor cursor[SIM_SLOTS]; /* bare cursors; or: */
        struct spread spread;
        struct reader reader[SIM_SLOTS];
        const struct plan *plan;
        struct world *world;
        uint32_t answered; /* heartbeats, by the log_take() under way */
};

/* Makes a side with a new image. */
void side_init(struct side *side, struct world *world);

/* Recovers a side from the image of fd, which the side then owns, reconciles the side with the
 * kernel of world, and checks the side. */
void side_recover(struct side *side, struct world *world, int fd);

/* What a side does next depends on: its world, and its image without what lies in free memory. Two
 * hashes, as one of 64 bits may be another's by chance. */
struct sim_print {
        uint64_t half[2];
};

struct sim_print side_print(const struct side *side);

/* Only opens the image of fd, as side_recover() does first; *side is zero, or has a world. Returns
 * NULL, or the error of recover_image(), or "store_open". */
const char *side_open(struct side *side, const struct plan *plan, int fd);

/* Frees spread and store. */
void side_done(struct side *side);

/* Sets up logs, turn and ledger on the side's image; recovered: the image has a state already. */
void side_init_logs(struct side *side, bool recovered);

/* Advances the time, and does one random act. */
void side_step(struct side *side);

/* Lets all messages of plan and clients pass to the end, and checks that none is left. */
void side_finish(struct side *side);

/* Fails the test unless the counts of the image are the world's. */
void side_check(struct side *side);

/* Runs the steps of the plan, with checks in between, and side_finish(). */
void side_run(struct side *side);

/* ---- random acts ---- */

struct act {
        const char *name;
        unsigned weight;
        void (*act)(struct side *side);
};

/* Does one of the n acts at random, in proportion to the weights. */
void side_any_act(struct side *side, const struct act *acts, size_t n);

/* A new client connects, if a slot is free. */
void side_connect(struct side *side);

/* A client ends, at random in one of four calls. */
void side_vanish(struct side *side);

/* Returns a random slot in use, or SIM_SLOTS. */
uint32_t side_any_slot(struct side *side);

/* Returns a random size from 1 to 200000, often a small one. */
uint64_t side_any_size(struct world *world);

/* A point for a crash besides the stores: the kernel did a call, and no store tells of the call. */
void side_crash_point(void);

/* ---- the connection to the peer ---- */

/* Reads at most `want` bytes of the peer. Returns false if there is nothing to read. */
bool side_read_link(struct side *side, size_t want);

/* Writes at most `limit` bytes to the peer; no_new: begins no message. Returns false if no byte
 * waits. */
bool side_write_link(struct side *side, size_t limit, bool no_new);

/* The peer's kernel acknowledges some bytes, or all. */
void side_ack(struct side *side);

/* Injects a heartbeat into a connection. */
void side_inject(struct side *side);

/* Begins a connection; at random, one that waits for the peer's first byte or answer. */
void side_connection_begins(struct side *side);

/* Begins a connection if there is none; otherwise may end it, lingering or not. */
void side_connection(struct side *side);

/* ---- readers of flow/spread, each function beside the model, compared at the end ---- */

/* A reader joins, within the transaction of the caller, who also changes the model. */
void side_join(struct side *side, uint32_t slot);

/* Offers the backlog to a reader that waits, and trusts the reader. */
void side_trust(struct side *side, uint32_t slot);

/* A reader leaves: no further messages are for the reader. */
void side_leave(struct side *side, uint32_t slot);

/* Drops messages of a reader down to `limit` bytes. */
void side_shorten(struct side *side, uint32_t slot, uint64_t limit);

/* A reader ends. */
void side_reader_done(struct side *side, uint32_t slot);

/* Sets the mode and the limits. */
void side_configure(struct side *side, bool balance, uint64_t backlog_size, uint64_t queue_size);

/* The configuration that a successor finds: most often as before, or another one. */
void side_configure_anew(struct side *side);

/* With plan.scant, makes extents scarce for the spread. */
void side_make_scant(struct side *side);

/* Gives the new messages of the in log to readers. */
void side_taken(struct side *side);

/* Notes in the world that a send of `bytes` to a reader begins. */
void side_sends(struct side *side, uint32_t slot, uint64_t bytes);

/* Notes in the world that the send is booked. */
void side_sent(struct side *side);

/* Fails the test unless the books and the readers' counts are the model's. */
void side_check_readers(struct side *side);

/* Sends at most `limit` bytes to a reader. Returns false if no message waits. */
bool side_write_reader(struct side *side, uint32_t slot, size_t limit);

/* Does one random act with readers. */
void side_reader_act(struct side *side);

/* After a crash: changes the model as far as the operation under way came in the image. Fails the
 * test if the image is between two changes of the model. */
void side_settle_readers(struct side *side);

/* Recovers the spread and its readers from the image. */
void side_open_readers(struct side *side);

/* side_open_readers(), and the configuration anew, as after a restart. */
void side_recover_readers(struct side *side);

/* ---- functions for the running side and for recovery ---- */

/* Returns the image's client of a slot. */
struct image_client *side_client(const struct side *side, uint32_t slot);

/* Returns the number, in the world, of the client of a slot. */
uint32_t side_number(const struct side *side, uint32_t slot);

/* Takes the peer's messages up to `read` bytes of the connection. */
void side_take_received(struct side *side, uint64_t read);

/* Tells the ledger if the peer was heard, but for an answer, which only log_take() finds. */
void side_hear(struct side *side);

/* Gives the new messages to closed cursors, some to each at random, or to no cursor. */
void side_give(struct side *side);

/* Answers a heartbeat, amid log_take(), if there is room. */
void side_answer(struct side *side);

/* Ends the client of a slot, and frees the slot. */
void side_dispose(struct side *side, uint32_t slot);

/* Ends the connection in ledger and world. Fails the test unless both tell the same end. */
void side_connection_ends(struct side *side);

/* Notes that the messages of the client in `discarding` were discarded. */
void world_discarded(struct world *world);

/* Notes the frames that were injected since the last call, as the image tells. */
void side_injected(struct side *side);

/* Notes that the messages [from, to) of the peer were given to client c. */
void world_given(struct world *world, uint32_t c, uint32_t from, uint32_t to);

/* ---- images that may be damaged ---- */

/* Begins the random numbers of dice(); the same seed repeats a run. */
void dice_begin(uint64_t seed);

/* Returns a random number from 0 to below - 1, independent of any world. */
uint64_t dice(uint64_t below);

/* Does, at random, what a daemon may do with the logs, turn, ledger and readers of a side without a
 * world, and touches the bytes that they give. The side is of no use afterwards. */
void side_use(struct side *side);

/*
 * Two stores whose mappings store_open() of the same memfd gets, and store_done() leaves: a fresh
 * mapping costs a fault for each page, which is most of the time of a recovery. NULL: none further.
 */
void sim_stay_mapped(const struct store *first, const struct store *second);

/*
 * Copies the parts of an image in use: most of the 64 GiB of an image are empty. known: the store
 * on `from`, whose slabs in use are copied; NULL: all `slabs` are copied.
 */
void sim_copy_image(struct image *to, const struct image *from, const struct store *known,
                    uint32_t slabs, uint32_t extents);
