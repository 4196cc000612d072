"""Which frame of a video a decoded picture is, and whether it can be trusted.

A decoder gives pictures in the order in which they are shown, and says of each which packet it
comes from. Packets lie in the file in the order in which they are decoded.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

# Where timestamps do not tell, a packet is given up when a picture of one that lies so many
# packets after it has been shown. H.264 and HEVC keep at most 16 pictures back.
_WINDOW = 16


class _Decoded(NamedTuple):
    packet: int
    is_key: bool
    is_damaged: bool
    picture: Any


class FrameOrder:
    """Gives decoded pictures their index in the video, and leaves out damaged ones.

    With ``ranks``, a frame's index is the rank of its timestamp. Without, frames are counted in
    the order in which the decoder gives them, and each packet of which no picture comes counts
    too: a frame that cannot be decoded shifts nothing. Where frames are shown in another order
    than decoded, a packet that is missing may belong before or after the picture that is shown
    last of those decoded before it; that one is left out.

    A picture is left out if it is damaged, and so are those after it up to the next key frame
    that is whole: they are predicted from it, and decoders show them, smeared, without a mark.

    Parameters
    ----------
    num_packets : int
        Packets that are to be shown.
    ranks : int32, shape (num_packets,), optional
        Index of the frame in each of them, by its number in decoding order.
    is_reordered : bool
        Whether frames may be shown in another order than decoded.
    """

    def __init__(self, num_packets: int, ranks: np.ndarray | None, is_reordered: bool) -> None:
        self._num_packets = num_packets
        self._ranks = ranks
        self._held: deque[_Decoded] = deque()
        self._seen: set[int] = set()  # packets from _settled on that a picture came of
        self._settled = 0  # of all packets before this one it is known whether a picture comes
        self._newest = -1
        self._latest_rank = -1
        self._is_reordered = is_reordered
        self._has_ended = False
        self._empty: set[int] = set()
        self._lost: list[int] = []  # packets, ascending
        self._damaged: list[int] = []  # packets, ascending
        self._last_key = -1  # packet of the last whole key frame
        self._num_shown = 0
        self._next_index = 0

    def expect_nothing(self, packet: int) -> None:
        """Say of a packet that it is no damage if no picture comes of it."""
        self._empty.add(packet)

    def add(
        self, packet: int | None, is_key: bool, is_damaged: bool, picture: Any
    ) -> Iterator[tuple[int, Any]]:
        """Take the next picture of the decoder.

        Parameters
        ----------
        packet : int, optional
            Number of the packet that it comes from, in decoding order; None if the decoder does
            not say.
        is_key, is_damaged : bool
            Whether it can be decoded alone, and whether it is known to be damaged.
        picture : object
            Handed back.

        Yields
        ------
        index : int
            Frame of the video, ascending.
        picture : object
            The next that is whole, of this one and those before it.
        """
        if packet is None:
            packet = self._settled
            while packet in self._seen:
                packet += 1
        if not self._settled <= packet < self._num_packets or packet in self._seen:
            return  # it was given up, or is the second picture of one packet
        self._seen.add(packet)
        self._newest = max(self._newest, packet)
        if self._ranks is not None:
            self._latest_rank = max(self._latest_rank, int(self._ranks[packet]))
        if is_damaged:
            insort(self._damaged, packet)
        self._held.append(_Decoded(packet, is_key, is_damaged, picture))
        self._settle()
        yield from self._release()

    def finish(self, is_cut_off: bool) -> Iterator[tuple[int, Any]]:
        """Hand out what is held, after the last picture; like `add`.

        Parameters
        ----------
        is_cut_off : bool
            Whether the file ends early: what follows is missing, too.
        """
        self._has_ended = True
        self._settle()
        if is_cut_off:
            self._lost.append(self._num_packets)
        yield from self._release()

    def _settle(self) -> None:
        while self._settled < self._num_packets:
            if self._settled in self._seen:
                self._seen.remove(self._settled)
            elif self._is_overdue(self._settled):
                self._lost.append(self._settled)
                if self._settled not in self._empty:
                    insort(self._damaged, self._settled)
            else:
                return
            self._settled += 1

    def _is_overdue(self, packet: int) -> bool:
        if self._has_ended:
            return True
        if self._ranks is not None:
            return self._latest_rank > self._ranks[packet]
        return self._newest > packet + _WINDOW

    def _release(self) -> Iterator[tuple[int, Any]]:
        """Hand out the pictures of which all is known, as far as they are whole."""
        while self._held and self._held[0].packet < self._settled:
            packet, is_key, is_damaged, picture = self._held[0]
            if self._ranks is not None:
                index, is_sure = int(self._ranks[packet]), True
            else:
                following = self._following()
                if following is None:
                    return
                num_lost = bisect_left(self._lost, packet)
                index = self._num_shown + num_lost
                is_sure = not self._is_reordered or bisect_left(self._lost, following) <= num_lost
            self._held.popleft()
            self._num_shown += 1
            if is_key and not is_damaged:
                self._last_key = packet
            num_before = bisect_left(self._damaged, packet)
            is_built_on_damage = num_before and self._damaged[num_before - 1] > self._last_key
            is_whole = not is_damaged and not is_built_on_damage
            if is_whole and is_sure and index >= self._next_index:
                self._next_index = index + 1
                yield index, picture

    def _following(self) -> int | None:
        """Packet of the picture after the next; None as long as some before it may still come."""
        if len(self._held) > 1:
            packet = self._held[1].packet
            return packet if packet < self._settled else None
        return self._num_packets + 1 if self._has_ended else None
