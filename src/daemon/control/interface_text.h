/* SPDX-License-Identifier: MIT */
#pragma once
/* The interfaces of the control socket, as the text of their .varlink files. The build makes
 * interface_text.c from the .varlink files. */

extern const char interface_text_ftcpd[];
extern const char interface_text_service[];
