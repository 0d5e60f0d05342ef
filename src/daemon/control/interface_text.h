/* SPDX-License-Identifier: MIT */
#pragma once
/* The interfaces of the control socket in Varlink's own language. interface_text.c is made from the
 * .varlink files by the build. */

extern const char interface_text_ftcpd[];
extern const char interface_text_service[];
