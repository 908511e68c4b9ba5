"""The ways in which microscopes and collections name their files: one declarative table.

A preset is a few expressions for :class:`.pattern_names.NamePattern`, tried in order, with the names that they were
written for. Every example is explained by its own preset and by no other (the tests see to that), so that a folder
chooses its preset itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

from ...errors import UsageError
from ...wording import did_you_mean
from .pattern_names import NamePattern

#: Folders above the export that take part in matching, so that an inner folder of a tree may be named too.
OUTER_FOLDERS = 4

_ROW = r"(?:A[A-F]|[A-Z])"
_WELL = rf"(?P<well>{_ROW}\d{{1,2}})"
_WELL_PADDED = rf"(?P<well>{_ROW}\d{{2}})"
_TIF = r"\.tiff?$"
_GUID = r"[0-9A-F]{8}-[0-9A-F]{4}-[0-9A-F]{4}-[0-9A-F]{4}-[0-9A-F]{12}"
_BRACKETED_GUID = rf"(?:_?\[?{_GUID}\]?)"
_GEN5_CHANNEL = r"(?P<channel>(?:Bright_Field|Phase_Contrast|[^_\[\]]*[A-Za-z][^_\[\]]*)(?:\[[^/]*\])?)"
_INCUCYTE_TIME = r"(?:(?P<date>\d{4}y\d{2}m\d{2}d)_(?P<time>\d{2}h\d{2}m)|(?P<elapsed>\d{2,3}d\d{2}h\d{2}m(?:\d{2}s)?))"
_INCUCYTE_CHANNEL = r"(?P<channel>Phase(?: ?Contrast)?|Ph|Bright ?Field|BF|Green|Red|Orange|Blue|NIR|C\d|[GPR])"
_METAXPRESS = (
    r"(?i)(?:^|/)(?:TimePoint_(?P<time2>\d+)/)?(?:ZStep_(?:(?P<projection>0+)|(?P<z2>\d+))/)?"
    rf"(?:(?P<plate>[^/]+?)_)??(?:t(?P<time>\d+)_)?{_WELL_PADDED}"
)
_METAXPRESS_END = r"(?:_z(?P<z>\d+))?(?:_t(?P<time3>\d+))?"


@dataclass(frozen=True, kw_only=True)
class Preset:
    """One way of naming.

    Parameters
    ----------
    name
        What ``--pattern`` calls it.
    vendor
        What an export of it calls its vendor.
    origin
        Where such names come from.
    examples
        Names or paths that it explains; ``left_out_examples`` those that it knows and leaves out.
    expressions
        Tried in order; matched against the path (with folders) or the name alone.
    with_folders
        Whether the folders take part.
    left_out
        Expressions for files that belong to such a plate and hold no plane of it, with what they are.
    refused
        Suffixes of files of the same instruments that are not read, with what to do.
    channel_name
        How a channel is called.
    contrasts
        Channels that are no fluorescence, in lower case, with their method of contrast.
    numbers_plates
        Whether plates have mere numbers, which become names only with the folder's.
    """

    name: str
    vendor: str
    origin: str
    examples: tuple[str, ...]
    expressions: tuple[str, ...]
    with_folders: bool = False
    left_out: Mapping[str, str] = field(default_factory=dict)
    left_out_examples: tuple[str, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)
    channel_name: str = "{}"
    contrasts: Mapping[str, str] = field(default_factory=dict)
    numbers_plates: bool = False

    @cached_property
    def patterns(self) -> tuple[NamePattern, ...]:
        """The expressions, compiled."""
        return tuple(NamePattern(one) for one in self.expressions)


_EXPORT_TIFF = "export them from HCS Studio as TIFF"

PRESETS: Mapping[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset(
            name="cellomics",
            vendor="Thermo Cellomics",
            origin="Cellomics ArrayScan, CellInsight CX5 and CX7; BBBC001, 002; CellProfiler's example folders",
            examples=("AS_09125_050116030001_D03f00d0.tif", "MFGTMP-PC_150416140001_A01f129d2.TIF"),
            expressions=(rf"(?i)^(?:(?P<plate>.+)_)?{_WELL_PADDED}f(?P<field>\d{{1,4}})d(?P<channel>\d{{1,2}}){_TIF}",),
            left_out={rf"(?i)(?:^|_){_ROW}\d{{2}}f\d{{1,4}}(?:d\d+)?o\d+{_TIF}": "overlays"},
            left_out_examples=("MFGTMP-PC_150416140001_A01f129o1.TIF",),
            refused={".c01": _EXPORT_TIFF, ".dib": _EXPORT_TIFF},
            channel_name="d{}",
        ),
        Preset(
            name="cytation",
            vendor="BioTek Gen5",
            origin="Agilent BioTek Cytation and Lionheart, images saved by Gen5",
            examples=(
                "A1_01_1_4_DAPI_001.tif",
                "A1_-1_2_1_Stitched[Channel2 500,600]_001.tif",
                "A1ROI2_01_1_1Z0_Confocal DAPI_001.tif",
                "P24_1_Bright Field_1_001_02.tif",
                "A1_1Z3_DAPI_1_001_.tif",
                "A1_1_Stitched[AandB_Phase Contrast]_1_001_-1.tif",
                "A1_-2_1_1_Tsf[Stitched[DAPI 377,447]]_001.tif",
                "B1_04_1_2_Bright_Field_001.tif",
            ),
            expressions=(
                # well, read step (negative: computed), number of the channel, field, name of the channel, time point
                rf"^{_WELL}(?:ROI(?P<region>\d+))?_(?P<acquisition>-?\d+)_\d+_(?P<field>\d+)(?:Z(?P<z>\d+))?"
                rf"_{_GEN5_CHANNEL}_(?P<time>-?\d+){_TIF}",
                # well, field, name of the channel, its number, time point, read step
                rf"^{_WELL}_(?:(?P<field>\d+)|(?P<acquisition>-\d+))(?:Z(?P<z>\d+))?"
                rf"_{_GEN5_CHANNEL}_\d+_(?P<time>\d+)_(?P<acquisition2>-?\d*){_TIF}",
            ),
        ),
        Preset(
            name="incucyte",
            vendor="Sartorius Incucyte",
            origin="Incucyte S3, SX5 and Zoom: the archive's EssenFiles/ScanData, and exported images",
            examples=(
                "EssenFiles/ScanData/2505/16/1124/1248/A1-1-Ph.tif",
                "EssenFiles/ScanData/2505/16/1124/1248/A1-1-C1.tif",
                "VID1541_Phase_B2_1_2023y09m22d_22h30m.tif",
                "A172_Phase_A7_1_00d04h00m.tif",
                "1211_G_A1_1_04d00h00m.tif",
                "Phase/A549_B10_6_00d00h00m.tif",
            ),
            expressions=(
                rf"(?i)(?:^|/)(?P<date>\d{{4}}/\d{{2}})/(?P<time>\d{{4}})/(?P<plate>[^/]+)/{_WELL}[-_](?P<field>\d+)"
                rf"[-_](?P<channel>[A-Z]+\d*){_TIF}",
                rf"(?i)(?:^|/)(?:(?P<plate>[^/]+?)[-_ ])??{_INCUCYTE_CHANNEL}_{_WELL}(?:_(?P<field>\d+))?"
                rf"_{_INCUCYTE_TIME}{_TIF}",
                # Exported once for each channel, into folders that are called as these.
                rf"(?i)(?:^|/){_INCUCYTE_CHANNEL}/(?:(?P<plate>[^/]+)_)?{_WELL}(?:_(?P<field>\d+))?_{_INCUCYTE_TIME}{_TIF}",
                rf"(?i)(?:^|/)(?:(?P<plate>[^/]+)_)?{_WELL}(?:_(?P<field>\d+))?_{_INCUCYTE_TIME}{_TIF}",
            ),
            with_folders=True,
            contrasts={"ph": "phase", "p": "phase"},
            numbers_plates=True,
        ),
        Preset(
            name="harmony-names",
            vendor="PerkinElmer Harmony",
            origin="Opera Phenix and Operetta images without their index; JUMP, BBBC",
            examples=("r01c01f01p01-ch1sk1fk1fl1.tiff",),
            expressions=(
                r"(?i)^r(?P<row>\d{2})c(?P<column>\d{2})f(?P<field>\d+)p(?P<z>\d+)-ch(?P<channel>\d+)sk(?P<time>\d+)"
                rf"(?:fk\d+)?(?:fl\d+)?{_TIF}",
            ),
            channel_name="ch{}",
        ),
        Preset(
            name="imagexpress-names",
            vendor="Molecular Devices MetaXpress",
            origin="ImageXpress images without HTD, flat or in TimePoint and ZStep folders; BBBC006, 021, 022",
            examples=(
                "Week1_150607_B02_s1_w107447158-AC92-4844-8584-16CF98AE9D51.tif",
                "1649_1109_0003_Amp5-1_B_20070424_C01_w1_10E01AFB-34C4-416E-A9D3-51B90AB53728.tif",
                "1649_C16_w1_[F89B1A1A-1A1B-4C9E-8E2E-0B7F2F6B7A01].tif",
                "TimePoint_1/ZStep_2/1234_A01_s1_w1.TIF",
            ),
            expressions=(
                rf"{_METAXPRESS}_s(?P<field>\d+)(?:_w(?P<channel>\d{{1,2}}?))?{_METAXPRESS_END}{_BRACKETED_GUID}?{_TIF}",
                rf"{_METAXPRESS}_w(?P<channel>\d{{1,2}}?){_METAXPRESS_END}{_BRACKETED_GUID}?{_TIF}",
                rf"{_METAXPRESS}{_METAXPRESS_END}{_BRACKETED_GUID}{_TIF}",
            ),
            with_folders=True,
            left_out={rf"(?i)_thumb{_BRACKETED_GUID}?{_TIF}": "thumbnails"},
            left_out_examples=("1234_A01_s1_w1_thumb2247376D-6ADD-442D-AE47-F54A05F3EA94.tif",),
            channel_name="w{}",
        ),
        Preset(
            name="cellvoyager-names",
            vendor="Yokogawa CellVoyager",
            origin="Yokogawa CV7000, CV8000, CQ1 and CQ3K images without their mlf file",
            examples=(
                "AssayPlate_Greiner_#655090_C02_T0001F001L01A01Z01C01.tif",
                "Projection/W0029F0001T0001Z000C1.tif",
                "B-02_F0001_T0001_Z0001_C01.tif",
                "A01_F0001_T0001_Z0004_C01.tif",
            ),
            expressions=(
                rf"(?i)(?:^|/)(?P<plate>[^/]+)_{_WELL_PADDED}_T(?P<time>\d+)F(?P<field>\d+)L(?P<acquisition>\d+)A\d+"
                rf"Z(?P<z>\d+)C(?P<channel>\d+){_TIF}",
                r"(?i)(?:^|/)W(?P<wellnumber>\d+)F(?P<field>\d+)T(?P<time>\d+)(?:Z(?:(?P<projection>0+)|(?P<z>\d+)))?"
                rf"C(?P<channel>\d+){_TIF}",
                rf"(?i)(?:^|/)(?P<row>{_ROW})-?(?P<column>\d{{1,2}})_F(?P<field>\d+)_T(?P<time>\d+)_Z(?P<z>\d+)"
                rf"_C(?P<channel>\d+){_TIF}",
            ),
            with_folders=True,
            left_out={rf"(?:^|/)(?:DC|SC)_[^/]*{_TIF}": "dark and shading images"},
            left_out_examples=("SC_BP445-45_40x_M10_CH01.tif",),
            channel_name="C{}",
        ),
        Preset(
            name="incell-names",
            vendor="GE IN Cell Analyzer",
            origin="GE (Cytiva) IN Cell Analyzer images without their xdce file",
            examples=(
                "A - 1(fld 1 wv DAPI - DAPI).tif",
                "A - 01(fld 1 wv Green - dsRed z 3).tif",
                "B - 2(fld 1 wv Cy3 - Cy3 wix 1).tif",
                "Plate1_A01(fld 1 wv 390 - Blue).tif",
            ),
            expressions=(
                rf"(?i)^(?:(?P<plate>.+)_)?(?P<row>{_ROW})(?: - )?(?P<column>\d{{1,2}}) ?\((?:fld (?P<field>\d+) )?"
                r"wv (?P<channel>[^()]+?(?: wix \d+)?)(?: z (?P<z>\d+))?"
                rf"(?: time (?P<time>\d+)(?: - [\d.]+ ?m?s)?)?\){_TIF}",
            ),
        ),
        Preset(
            name="scanr-names",
            vendor="Olympus ScanR",
            origin="Olympus ScanR images without their experiment descriptor",
            examples=("B2--W00014--P00001--Z00000--T00000--DAPI.tif", "--W00001--P00001--Z00000--T00000--cherry.tif"),
            expressions=(
                rf"(?i)^{_WELL}--W\d+--P(?P<field>\d+)--Z(?P<z>\d+)--T(?P<time>\d+)--(?P<channel>.+?){_TIF}",
                r"(?i)^.*?--W(?P<wellnumber>\d+)--P(?P<field>\d+)--Z(?P<z>\d+)--T(?P<time>\d+)--(?P<channel>.+?)"
                rf"{_TIF}",
            ),
        ),
        Preset(
            name="tile-names",
            vendor="TIFF folder",
            origin="Tile scans that write out time point, row, well, stain, plane and tile",
            examples=("Timepoint001_Row02_Well04_DAPI_zstack001_r000_c000.tif",),
            expressions=(
                r"(?i)^(?:(?P<plate>.+)_)?Timepoint(?P<time>\d+)_Row(?P<row>\d+)_Well(?P<column>\d+)_(?P<channel>.+?)"
                rf"(?:_zstack(?P<z>\d+))?(?:_r(?P<region>\d+)_c(?P<field>\d+))?{_TIF}",
            ),
        ),
        Preset(
            name="vitra-names",
            vendor="TIFF folder",
            origin="Vitra Bioscience, as in BBBC013 and CellProfiler's example folders",
            examples=("Channel 1-01-A-01-00.tif", "Channel2-13-B-01.tif"),
            expressions=(
                rf"(?i)^(?:(?P<plate>.+)_)?Channel ?(?P<channel>\d+)-\d+-(?P<row>{_ROW})-(?P<column>\d{{1,2}})"
                rf"(?:-(?P<field>\d+))?{_TIF}",
            ),
            channel_name="Channel {}",
        ),
    )
}


@lru_cache(maxsize=32)
def preset_of(pattern: str) -> Preset:
    """Return the preset that is called so, or one that is made of a regular expression.

    Raises
    ------
    UsageError
        It is neither.
    """
    found = PRESETS.get(pattern.strip().lower())
    if found is not None:
        return found
    if not any(sign in pattern for sign in "(\\[*"):
        raise UsageError(
            f"no preset of file names is called {pattern!r}{did_you_mean(pattern, PRESETS)}",
            hint=f"Presets are {', '.join(PRESETS)}; or give a regular expression (`cytolake catalog readers`).",
        )
    own = Preset(
        name="own pattern",
        vendor="TIFF folder",
        origin="given with --pattern",
        examples=(),
        expressions=(pattern,),
        with_folders="/" in pattern,
    )
    _ = own.patterns
    return own
