"""Currencies: the codes of ISO 4217 that money is paid in, and how many decimal places the smallest coin takes."""

from tallybook.core.errors import FieldInvalid

_TWO = (
    "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP CRC CUP"
    " CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES"
    " KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK"
    " NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB"
    " TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW ZWG"
)
_NONE = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"
_THREE = "BHD IQD JOD KWD LYD OMR TND"

PLACES = {code: places for codes, places in ((_TWO, 2), (_NONE, 0), (_THREE, 3)) for code in codes.split(" ")}
"""Code -> decimal places of its minor unit.

From ISO 4217 list one: what countries pay with. Funds and metals are left out, and BGN, HRK and ANG, whose countries
pay with another by now.
"""

PLACES_UNKNOWN = 2
"""Of a code that an older ledger holds and this list does not."""


def places_of(currency: str) -> int:
    """Return to how many decimal places an amount that is to be paid is rounded."""
    return PLACES.get(currency, PLACES_UNKNOWN)


def read_currency(value: object, pointer: str) -> str:
    """Return *value* if it is the code of a currency.

    Raises:
        FieldInvalid: With *pointer*.
    """
    if not isinstance(value, str) or value not in PLACES:
        raise FieldInvalid("must be an ISO 4217 code such as USD", pointer=pointer)
    return value
