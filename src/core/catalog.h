/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The classes of diag lines: the MESSAGE_ID= of each class in the journal. "journalctl --catalog"
 * explains a class by the text in systemd/ftcpd.catalog. An identifier never gets another meaning.
 */
#define CATALOG_STARTED      "3ceaaf30814248ea91d93080f9b439fc"
#define CATALOG_LINK_UP      "9dfb369bab134faea27655daa05f1119"
#define CATALOG_LINK_LOST    "6301bbfca0c5454e8ff9bb510944fe0c"
#define CATALOG_LINK_FAILED  "6fced11d2bd841e6847a8387cdde8d51"
#define CATALOG_CLIENT_ENDED "3a124c647e024f05b7c1dce27f7695f5"
#define CATALOG_DROPPED      "66080f174c9648e29cbd0ba3a1a6bcde"
#define CATALOG_TAKEN_OVER   "b120a366f0bb49cf82f2dc05873f9bd0"
#define CATALOG_REFUSED      "78b7d0ac84774ce08e4cda11b43c589b"
#define CATALOG_HANDED_OVER  "2330fcf1562a44b888668d77e827062c"
#define CATALOG_STOPPING     "c1acc9906424450aa36bf9b3ddcb369d"
#define CATALOG_STOPPED      "9ad9b9a25e78454db065a1c284cc4549"
#define CATALOG_HELD         "20d1fc2ca9504ce2ae97e135a1e1e6fc"
#define CATALOG_CONFIG_BAD   "993565976fba4662b6a730b7b12e9eed"
#define CATALOG_RELOADED     "8df08078a22e418085c2c2af3977a654"
