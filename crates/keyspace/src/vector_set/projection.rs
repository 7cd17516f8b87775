//! Vectors of many components as vectors of fewer (`REDUCE`).

/// A linear map of vectors with `input_dim` components.
#[derive(Clone, Debug)]
pub struct Projection {
    input_dim: usize,
    output_dim: usize,
    /// Row by row; none if it is the [regular](Projection::new) one.
    matrix: Option<Box<[f32]>>,
}

/// Rows that are summed up together.
const ROWS: usize = 16;

impl Projection {
    /// The map that new sets get: row `i` has at `j` a `1` if `i & j` has an even number of ones, else a `-1`, divided by the
    /// square root of `input_dim`. It follows from the dimensions, so it takes no memory.
    pub fn new(input_dim: usize, output_dim: usize) -> Projection {
        Projection { input_dim, output_dim, matrix: None }
    }

    /// The map of a matrix, row by row. None if that is not as large as the dimensions say.
    pub fn from_matrix(input_dim: usize, output_dim: usize, matrix: Vec<f32>) -> Option<Projection> {
        if input_dim.checked_mul(output_dim) != Some(matrix.len()) || matrix.is_empty() {
            return None;
        }
        let regular = Projection::new(input_dim, output_dim);
        let is_regular = matrix.iter().enumerate().all(|(at, value)| value.to_bits() == regular.at(at).to_bits());
        let matrix = (!is_regular).then(|| matrix.into_boxed_slice());
        Some(Projection { matrix, ..regular })
    }

    /// Components of a vector before.
    pub fn input_dim(&self) -> usize {
        self.input_dim
    }

    /// Components of a vector afterwards.
    pub fn output_dim(&self) -> usize {
        self.output_dim
    }

    fn scale(&self) -> f32 {
        (1.0 / (self.input_dim as f64).sqrt()) as f32
    }

    /// The element at an index of the matrix, row by row.
    pub fn at(&self, index: usize) -> f32 {
        match &self.matrix {
            Some(matrix) => matrix[index],
            None => signed(self.scale(), index / self.input_dim, index % self.input_dim),
        }
    }

    /// The image of a vector. O(`input_dim` `output_dim`).
    pub fn apply(&self, vector: &[f32]) -> Vec<f32> {
        assert_eq!(vector.len(), self.input_dim, "a vector of the input's dimension");
        let (mut output, scale) = (vec![0.0; self.output_dim], self.scale());
        // Each row is summed up from left to right, which decides the last bit; several rows at a time.
        for (block, sums) in output.chunks_mut(ROWS).enumerate() {
            let first = block * ROWS;
            for (j, x) in vector.iter().enumerate() {
                for (i, sum) in sums.iter_mut().enumerate() {
                    let factor = match &self.matrix {
                        Some(matrix) => matrix[(first + i) * self.input_dim + j],
                        None => signed(scale, first + i, j),
                    };
                    *sum += factor * x;
                }
            }
        }
        output
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.matrix.as_ref().map_or(0, |matrix| size_of_val(&**matrix))
    }
}

fn signed(scale: f32, row: usize, column: usize) -> f32 {
    f32::from_bits(scale.to_bits() ^ (((row & column).count_ones() & 1) << 31))
}
