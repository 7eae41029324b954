"""The embedded archive: a folder of DICOM files, read in place and never written to, behind the same port as a PACS."""
