//! composefs EROFS images: layout, writer and budgeted reader.
