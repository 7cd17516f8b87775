//! What several fuzz targets share. A target states what must hold for any input; the seeds below `seeds/` show it the way in.

pub mod sandbox;
