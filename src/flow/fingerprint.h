/* SPDX-License-Identifier: MIT */
#pragma once
/* What an image was made with, so that a successor sees whether it still holds: the frame, and the
 * keys of the link. */
#include <stdbool.h>

#include "config/config.h"
#include "store/image.h"

void fingerprint_frame(struct image *image, const struct frame_spec *spec);

/* Are the image's messages of this frame? max_message_size does not count. */
bool fingerprint_frame_is(const struct image *image, const struct frame_spec *spec);

/* What frame they are of, without a limit to a message. False: of none. */
bool fingerprint_frame_of(const struct image *image, struct frame_spec *spec);

/* A sum over the keys that a connection is made from. */
uint64_t fingerprint_link(const struct config *config);

/* The configured address of the connection that begins, and of the one that is there. */
void fingerprint_address(struct image_session *session, const char *address);
const char *fingerprint_address_of(const struct image_session *session);
