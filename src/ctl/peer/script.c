/* SPDX-License-Identifier: MIT */
#include "ctl/peer/script.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/peer/encode.h"
#include "util/units.h"

struct parser {
        struct script *script;
        const struct frame_spec *spec;
        unsigned line;
        uint64_t *pieces; /* of a split, until its send is parsed */
        size_t n_pieces;
};

/* Parses the argument of a command into step. Returns NULL, or a static text of the error. */
typedef const char *parse_fn(struct parser *parser, struct script_step *step, char *argument);

static void *grow(void *array, size_t n, size_t size)
{
        void *more = realloc(array, (n + 1) * size);

        if (!more)
                abort();
        return more;
}

static void add_part(struct script *script)
{
        script->parts = grow(script->parts, script->n_parts, sizeof(*script->parts));
        script->parts[script->n_parts++] = (struct script_part){.first = script->n_steps};
}

static const char *parse_nothing(struct parser *parser, struct script_step *step, char *argument)
{
        (void)parser;
        (void)step;
        return *argument ? "takes no argument" : NULL;
}

/* Puts TEXT, with its escapes resolved, into step->data, which the step owns. */
static const char *parse_text(struct parser *parser, struct script_step *step, char *argument)
{
        size_t size = strlen(argument);
        ssize_t n;

        (void)parser;
        if (size >= 2 && argument[0] == '"' && argument[size - 1] == '"') {
                argument[size - 1] = '\0';
                argument++;
        }
        step->data = malloc(size + 1);
        n = step->data ? units_unescape(argument, step->data) : -1;
        if (n < 0)
                return "an escape that is none (they are as in C; a backslash is \\\\)";
        step->size = (size_t)n;
        return NULL;
}

static const char *parse_expect(struct parser *parser, struct script_step *step, char *argument)
{
        if (!*argument)
                step->op = SCRIPT_EXPECT_ANY;
        return parse_text(parser, step, argument);
}

static void take_pieces(struct parser *parser, struct script_step *step)
{
        step->pieces = parser->pieces;
        step->n_pieces = parser->n_pieces;
        parser->pieces = NULL;
        parser->n_pieces = 0;
}

static const char *parse_send(struct parser *parser, struct script_step *step, char *argument)
{
        const char *error = parse_text(parser, step, argument);
        unsigned char *message = step->data;

        if (error)
                return error;
        step->data = NULL;
        error = encode_message(parser->spec, message, step->size, &step->data, &step->size);
        free(message);
        take_pieces(parser, step);
        return error;
}

static int digit(char c)
{
        return c >= '0' && c <= '9'   ? c - '0'
               : c >= 'a' && c <= 'f' ? c - 'a' + 10
               : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                      : -1;
}

static const char *parse_hex(struct parser *parser, struct script_step *step, char *argument)
{
        step->data = malloc(strlen(argument) + 1);
        if (!step->data)
                return "no memory";
        for (const char *p = argument; *p;) {
                int high = digit(*p), low = high < 0 ? -1 : digit(p[1]);

                if (isspace((unsigned char)*p)) {
                        p++;
                        continue;
                }
                if (low < 0)
                        return "expected pairs of hexadecimal digits";
                step->data[step->size++] = (unsigned char)(high << 4 | low);
                p += 2;
        }
        take_pieces(parser, step);
        return step->size ? NULL : "expected pairs of hexadecimal digits";
}

static const char *parse_length(struct parser *parser, struct script_step *step, char *argument)
{
        char *rest = argument + strcspn(argument, " \t");
        unsigned char head[FRAME_HEADER_MAX], *data;
        const char *error;
        uint64_t length;
        size_t n;

        if (*rest)
                *rest++ = '\0';
        if (units_number_parse(argument, &length) < 0)
                return "expected a number";
        n = encode_length(parser->spec, length, head);
        if (n == 0)
                return "this frame has no length field that can say so";
        error = parse_text(parser, step, rest + strspn(rest, " \t"));
        if (error)
                return error;
        data = malloc(n + step->size);
        if (!data)
                return "no memory";
        memcpy(data, head, n);
        memcpy(data + n, step->data, step->size);
        free(step->data);
        step->data = data;
        step->size += n;
        take_pieces(parser, step);
        return NULL;
}

static const char *parse_span(struct parser *parser, struct script_step *step, char *argument)
{
        (void)parser;
        return units_span_parse(argument, &step->number) < 0
                       ? "expected a time span like 250ms or 3s"
                       : NULL;
}

static const char *parse_exit(struct parser *parser, struct script_step *step, char *argument)
{
        (void)parser;
        if (!*argument)
                return NULL;
        return units_number_parse(argument, &step->number) < 0 || step->number > 255
                       ? "expected an exit code"
                       : NULL;
}

static const struct {
        const char *name;
        enum script_op op;
        parse_fn *parse;
} commands[] = {
        {"expect", SCRIPT_EXPECT, parse_expect},     {"send", SCRIPT_SEND, parse_send},
        {"send-hex", SCRIPT_SEND_BROKEN, parse_hex}, {"length", SCRIPT_SEND_BROKEN, parse_length},
        {"wait", SCRIPT_WAIT, parse_span},           {"stall", SCRIPT_STALL, parse_span},
        {"heartbeat", SCRIPT_HEARTBEAT, parse_span}, {"echo", SCRIPT_ECHO, parse_nothing},
        {"close", SCRIPT_CLOSE, parse_nothing},      {"reset", SCRIPT_RESET, parse_nothing},
        {"loop", SCRIPT_LOOP, parse_nothing},        {"exit", SCRIPT_EXIT, parse_exit},
};

/* Cuts the first word off *text and returns the word; *text then begins with the second word. */
static char *cut_word(char **text)
{
        char *word = *text;

        *text += strcspn(*text, " \t");
        if (**text)
                *(*text)++ = '\0';
        *text += strspn(*text, " \t");
        return word;
}

static const char *parse_split(struct parser *parser, char *argument)
{
        if (!*argument)
                return "expected the sizes of the pieces";
        while (*argument) {
                uint64_t piece;

                if (units_number_parse(cut_word(&argument), &piece) < 0 || piece == 0)
                        return "expected the sizes of the pieces, 1 or more each";
                parser->pieces = grow(parser->pieces, parser->n_pieces, sizeof(piece));
                parser->pieces[parser->n_pieces++] = piece;
        }
        return NULL;
}

static const char *parse_step(struct parser *parser, const char *name, char *argument,
                              uint64_t repeat)
{
        struct script *script = parser->script;
        struct script_step *step;
        size_t i = 0, n = sizeof(commands) / sizeof(*commands);

        while (i < n && strcmp(commands[i].name, name) != 0)
                i++;
        if (i == n)
                return "there is no such command (see `ftcpctl peer --help`)";
        script->steps = grow(script->steps, script->n_steps, sizeof(*script->steps));
        step = &script->steps[script->n_steps++];
        *step = (struct script_step){.op = commands[i].op, .line = parser->line, .repeat = repeat};
        if (script->n_parts == 0) {
                add_part(script);
                script->parts[0].first = 0;
        }
        script->parts[script->n_parts - 1].n++;
        return commands[i].parse(parser, step, argument);
}

static const char *parse_line(struct parser *parser, char *text)
{
        uint64_t repeat = 1;
        char *name;

        text += strspn(text, " \t");
        text[strcspn(text, "\r\n")] = '\0';
        for (size_t n = strlen(text); n && (text[n - 1] == ' ' || text[n - 1] == '\t'); n--)
                text[n - 1] = '\0';
        if (!*text || *text == '#')
                return NULL;
        name = cut_word(&text);
        if (strcmp(name, "repeat") == 0) {
                if (units_number_parse(cut_word(&text), &repeat) < 0 || repeat == 0)
                        return "repeat: expected how often, 1 or more, and a command";
                name = cut_word(&text);
                if (strcmp(name, "split") == 0 || strcmp(name, "accept") == 0 ||
                    strcmp(name, "loop") == 0)
                        return "repeat: split, accept and loop can't be repeated";
        }
        if (strcmp(name, "split") == 0)
                return parse_split(parser, text);
        if (strcmp(name, "accept") != 0)
                return parse_step(parser, name, text, repeat);
        add_part(parser->script);
        return *text ? "accept takes no argument" : NULL;
}

const char *script_parse(struct script *script, FILE *from, const struct frame_spec *spec,
                         char *words, size_t size)
{
        struct parser parser = {.script = script, .spec = spec};
        const char *error = NULL;
        char *line = NULL;
        size_t room = 0;
        ssize_t n;

        *script = (struct script){0};
        while (!error && (n = getline(&line, &room, from)) >= 0) {
                parser.line++;
                error = strlen(line) == (size_t)n ? parse_line(&parser, line)
                                                  : "a NUL byte (write \\0)";
        }
        if (!error && parser.n_pieces)
                error = "split: no send, send-hex or length follows";
        if (!error && script->n_steps == 0 && script->n_parts == 0)
                error = "the script is empty";
        if (error)
                snprintf(words, size, "line %u: %s", parser.line, error);
        free(parser.pieces);
        free(line);
        return error ? words : NULL;
}

void script_done(struct script *script)
{
        for (size_t i = 0; i < script->n_steps; i++) {
                free(script->steps[i].data);
                free(script->steps[i].pieces);
        }
        free(script->steps);
        free(script->parts);
        *script = (struct script){0};
}
