//! Sixteen rounds of a hash function, written out.

/// Repeats a block for the numbers 0 to 15, each a constant in it: left to the compiler, the loop
/// stays one, and the vectors that it indexes stay in memory.
macro_rules! sixteen_times {
    (|$index:ident| $body:block) => {
        sixteen_times!(@each $index $body 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15)
    };
    (@each $index:ident $body:block $($number:literal)*) => {
        $({
            const $index: usize = $number;
            $body
        })*
    };
}

pub(super) use sixteen_times;
