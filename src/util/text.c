/* SPDX-License-Identifier: MIT */
#include "util/text.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Returns the code point of `length` bytes: a lead byte and valid continuation bytes. */
static uint32_t utf8_decode(const unsigned char *s, size_t length)
{
        uint32_t c = length == 1 ? s[0] : s[0] & (0x7fu >> length);

        for (size_t i = 1; i < length; i++)
                c = c << 6 | (s[i] & 0x3f);
        return c;
}

/* Returns the number of bytes of the character at s, or 0 if the character is not valid (RFC 3629).
 */
static size_t utf8_length(const unsigned char *s, size_t size)
{
        static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
        size_t length = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
        uint32_t c;

        if (length == 0 || s[0] > 0xf4 || length > size)
                return 0;
        for (size_t i = 1; i < length; i++)
                if ((s[i] & 0xc0) != 0x80)
                        return 0;
        c = utf8_decode(s, length);
        return c < least[length] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? 0 : length;
}

bool text_is_mark(uint32_t point)
{
        static const uint32_t marks[][2] = {
                {0x00, 0x1f},     {0x7f, 0x9f},       {0x061c, 0x061c}, {0x200b, 0x200b},
                {0x200e, 0x200f}, {0x2028, 0x202e},   {0x2060, 0x2069}, {0xfeff, 0xfeff},
                {0xfff9, 0xfffb}, {0xe0000, 0xe007f},
        };

        for (size_t i = 0; i < sizeof(marks) / sizeof(*marks); i++)
                if (point >= marks[i][0] && point <= marks[i][1])
                        return true;
        return false;
}

static size_t escape_byte(char *piece, unsigned char byte)
{
        static const char *const letters = "\nn\rr\tt";
        const char *letter = byte ? strchr(letters, byte) : NULL;

        /* In `letters` each byte stands before its letter: an odd position is a letter. */
        if (letter && (letter - letters) % 2 == 0)
                return (size_t)sprintf(piece, "\\%c", letter[1]);
        return (size_t)sprintf(piece, "\\x%02x", byte);
}

size_t text_escape(char *out, size_t room, const char *text, size_t size)
{
        const unsigned char *s = (const unsigned char *)text;
        size_t used = 0;

        while (size > 0) {
                size_t taken = utf8_length(s, size), n;
                char piece[20];

                if (taken > 0 && !text_is_mark(utf8_decode(s, taken))) {
                        memcpy(piece, s, n = taken);
                } else {
                        taken = taken ? taken : 1;
                        n = 0;
                        for (size_t i = 0; i < taken; i++)
                                n += escape_byte(piece + n, s[i]);
                }
                if (used + n >= room)
                        break;
                memcpy(out + used, piece, n);
                used += n;
                s += taken;
                size -= taken;
        }
        if (room > 0)
                out[used] = '\0';
        return used;
}

void text_cut(char *out, size_t room, const char *text)
{
        static const char more[] = "...";
        size_t size = strlen(text);

        if (size >= room) {
                size = room - sizeof(more);
                while (size > 0 && ((unsigned char)text[size] & 0xc0) == 0x80)
                        size--;
                memcpy(out + size, more, sizeof(more));
        } else {
                out[size] = '\0';
        }
        memcpy(out, text, size);
}
