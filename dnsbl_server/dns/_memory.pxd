"""Bytes in memory: numbers in either byte order, and what the checked and the sanitized builds look at.

Owns reading and writing numbers at any address, aligned or not, and the marks of these builds. Built with
DNSBL_CHECKED, CHECK ends the process where its condition does not hold; otherwise it is nothing. With AddressSanitizer,
SEAL makes every access to a range an error until UNSEAL. Trusts its callers with the bounds. Knows no messages.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

cdef extern from * nogil:
    """
    #include <stdlib.h>
    #ifdef DNSBL_CHECKED
    #define CHECK(condition) do { if (!(condition)) abort(); } while (0)
    #else
    #define CHECK(condition) ((void)0)
    #endif
    #ifndef __has_feature
    #define __has_feature(feature) 0
    #endif
    #if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
    #include <sanitizer/asan_interface.h>
    #define SEAL(start, size) __asan_poison_memory_region((start), (size))
    #define UNSEAL(start, size) __asan_unpoison_memory_region((start), (size))
    #else
    #define SEAL(start, size) ((void)0)
    #define UNSEAL(start, size) ((void)0)
    #endif
    #define PREFETCH(place) __builtin_prefetch(place)
    #define SWAP32(number) __builtin_bswap32(number)
    #define SWAP64(number) __builtin_bswap64(number)
    """
    void CHECK(bint condition) noexcept
    void SEAL(const uint8_t* start, uint32_t size) noexcept
    void UNSEAL(const uint8_t* start, uint32_t size) noexcept
    void PREFETCH(const void* place) noexcept
    uint32_t SWAP32(uint32_t number) noexcept
    uint64_t SWAP64(uint64_t number) noexcept


# Big-endian, as in messages

cdef inline uint32_t get16(const uint8_t* at) noexcept nogil:
    return <uint32_t>at[0] << 8 | at[1]


cdef inline uint64_t get64(const uint8_t* at) noexcept nogil:
    return SWAP64(native64(at))


cdef inline uint8_t* put16(uint8_t* at, uint32_t number) noexcept nogil:
    """Write a number; where it ends."""
    at[0] = <uint8_t>(number >> 8 & 0xFF)
    at[1] = <uint8_t>(number & 0xFF)
    return at + 2


cdef inline uint8_t* put32(uint8_t* at, uint32_t number) noexcept nogil:
    number = SWAP32(number)
    memcpy(at, &number, 4)
    return at + 4


cdef inline uint8_t* put_bytes(uint8_t* at, const uint8_t* data, uint32_t size) noexcept nogil:
    memcpy(at, data, size)
    return at + size


# Little-endian, as in tables

cdef inline uint32_t native16(const uint8_t* at) noexcept nogil:
    return <uint32_t>at[1] << 8 | at[0]


cdef inline uint32_t native32(const uint8_t* at) noexcept nogil:
    cdef uint32_t number
    memcpy(&number, at, 4)
    return number


cdef inline uint64_t native64(const uint8_t* at) noexcept nogil:
    cdef uint64_t number
    memcpy(&number, at, 8)
    return number
