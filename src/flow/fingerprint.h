/* SPDX-License-Identifier: MIT */
#pragma once
/* The configuration that an image was made with: the frame and the keys of the link. A successor
 * compares both with the new configuration. */
#include <stdbool.h>

#include "config/config.h"
#include "store/image.h"

/* Writes the frame into a new image. */
void fingerprint_frame(struct image *image, const struct frame_spec *spec);

/* True if the messages of the image have the frame of `spec`; max_message_size is not compared. */
bool fingerprint_frame_is(const struct image *image, const struct frame_spec *spec);

/* Fills in *spec with the frame of the image, without a limit on messages. False: the image holds
 * no valid frame, and *spec is undefined. */
bool fingerprint_frame_of(const struct image *image, struct frame_spec *spec);

/* Returns a checksum over the keys that make a connection: addresses, source address, greetings. */
uint64_t fingerprint_link(const struct config *config);

/* At the start of a connection: writes the configured address into the image; cut if too long. */
void fingerprint_address(struct image_session *session, const char *address);

/* Returns the configured address of the connection, in the image; "?" if the image has no text. */
const char *fingerprint_address_of(const struct image_session *session);
