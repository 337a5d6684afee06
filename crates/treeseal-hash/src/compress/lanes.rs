//! SHA-256 and SHA-512 of many messages at once, one message in each lane of a vector.
//!
//! Both functions are the same sequence of additions, rotations and bit operations on words,
//! whatever the message says. So a vector can hold word *a* of every message, another word *b*, and
//! one instruction does the same step of all of them: sixteen messages of SHA-256 in vectors of 512
//! bits. Nothing in a lane waits for another lane, and the eight words of the state and the sixteen
//! newest of the message schedule, 24 vectors, fit the 32 registers of AVX-512.
//!
//! The words of a message lie one after another, and lane *n* of a vector wants word *t* of message
//! *n*. So an input block of each message is loaded as whole vectors, and the square of words that
//! they make is transposed in registers.
//!
//! [`lane_kernel!`] writes the function once for every width and instruction set; the operations
//! are its arguments. It is a macro because a generic function could not have its operations
//! compiled for a processor's feature, which is an attribute of each function.

/// Defines a module with `hash_lanes` for one kind of vector.
///
/// `rows` loads the `part`th vector of an input block in the order of the machine's words;
/// `transposed` takes a square of such vectors, one message a row, and gives one word a row.
macro_rules! lane_kernel {
    (
        $(#[$attribute:meta])*
        mod $name:ident: sha256, features $features:literal, $($rest:tt)*
    ) => {
        lane_kernel! {
            @define $(#[$attribute])* $name, $features,
            u32, 64, &crate::compress::portable::SHA256_ROUND,
            [2, 13, 22], [6, 11, 25], [7, 18, 3], [17, 19, 10], $($rest)*
        }
    };
    (
        $(#[$attribute:meta])*
        mod $name:ident: sha512, features $features:literal, $($rest:tt)*
    ) => {
        lane_kernel! {
            @define $(#[$attribute])* $name, $features,
            u64, 128, &crate::compress::portable::SHA512_ROUND,
            [28, 34, 39], [14, 18, 41], [1, 8, 7], [19, 61, 6], $($rest)*
        }
    };
    (
        @define $(#[$attribute:meta])* $name:ident, $features:literal,
        $word:ty, $block:literal, $constants:expr,
        [$a1:literal, $a2:literal, $a3:literal], [$e1:literal, $e2:literal, $e3:literal],
        [$far1:literal, $far2:literal, $far3:literal],
        [$near1:literal, $near2:literal, $near3:literal],
        $lanes:literal lanes of $vector:ty,
        add $add:path, rotate $rotate:ident, shift $shift:ident,
        xor3 $xor3:path, choice $choice:path, majority $majority:path,
        splat $splat:path, row $row:path, transposed $transposed:path, store $store:path,
    ) => {
        $(#[$attribute])*
        pub(in crate::compress) mod $name {
            use super::*;

            /// Messages that are hashed at once.
            pub(in crate::compress) const LANES: usize = $lanes;

            /// From one state, works each lane's data and then the tail, which is the same for
            /// all, and gives the states: word by word, each of all lanes. The data of all lanes
            /// is equally long; data and tail are whole input blocks.
            #[target_feature(enable = $features)]
            pub(in crate::compress) fn hash_lanes(
                initial: &[$word; 8],
                data: [&[u8]; LANES],
                tail: &[u8],
            ) -> [[$word; LANES]; 8] {
                // Loops and no `map`: its closure is compiled for the feature and the function that
                // calls it is not, so neither is inlined.
                let mut state = [$splat(0); 8];
                for (vector, word) in state.iter_mut().zip(initial) {
                    *vector = $splat(*word);
                }
                let mut lanes = [data[0].as_chunks::<$block>().0; LANES];
                for (lane, data) in lanes.iter_mut().zip(data) {
                    *lane = data.as_chunks().0;
                }
                for index in 0..lanes.iter().map(|lane| lane.len()).min().unwrap_or(0) {
                    let mut blocks = [&lanes[0][index]; LANES];
                    for (block, lane) in blocks.iter_mut().zip(lanes) {
                        *block = &lane[index];
                    }
                    compress(&mut state, blocks);
                }
                for block in tail.as_chunks::<$block>().0 {
                    compress(&mut state, [block; LANES]);
                }
                let mut words = [[0; LANES]; 8];
                for (words, vector) in words.iter_mut().zip(state) {
                    *words = $store(vector);
                }
                words
            }

            /// One input block in each lane: FIPS 180-4 sections 6.2.2 and 6.4.2.
            #[target_feature(enable = $features)]
            fn compress(state: &mut [$vector; 8], blocks: [&[u8; $block]; LANES]) {
                let before = *state;
                let mut words = load_words(blocks);
                let (groups, _) = $constants.as_chunks::<16>();
                if let Some((last, groups)) = groups.split_last() {
                    for constants in groups {
                        round_and_extend(state, &mut words, constants);
                    }
                    sixteen_times!(|T| {
                        round(state, T, $add(words[T], $splat(last[T])));
                    });
                }
                for (word, before) in state.iter_mut().zip(before) {
                    *word = $add(*word, before);
                }
            }

            /// Sixteen rounds. The words of the schedule that they have used make place for those
            /// of the next sixteen: computed that early, none of them is waited for.
            #[target_feature(enable = $features)]
            #[inline]
            fn round_and_extend(
                state: &mut [$vector; 8],
                words: &mut [$vector; 16],
                constants: &[$word; 16],
            ) {
                sixteen_times!(|T| {
                    round(state, T, $add(words[T], $splat(constants[T])));
                    let (far, near) = (words[(T + 1) % 16], words[(T + 14) % 16]);
                    let sigma0 =
                        $xor3($rotate::<$far1>(far), $rotate::<$far2>(far), $shift::<$far3>(far));
                    let sigma1 = $xor3(
                        $rotate::<$near1>(near),
                        $rotate::<$near2>(near),
                        $shift::<$near3>(near),
                    );
                    words[T] = $add($add(words[T], words[(T + 9) % 16]), $add(sigma0, sigma1));
                });
            }

            /// Round `t`. The words of the state stay where they are, and their names move on: `a`
            /// is at place 0 in round 0, at place 7 in round 1, and so on.
            #[target_feature(enable = $features)]
            #[inline]
            fn round(state: &mut [$vector; 8], t: usize, input: $vector) {
                let at = |name: usize| (name + 16 - t) % 8;
                let [a, b, c] = [state[at(0)], state[at(1)], state[at(2)]];
                let [e, f, g] = [state[at(4)], state[at(5)], state[at(6)]];
                let early = $add($add(state[at(7)], input), $choice(e, f, g));
                let sum1 = $xor3($rotate::<$e1>(e), $rotate::<$e2>(e), $rotate::<$e3>(e));
                let t1 = $add(early, sum1);
                let majority = $majority(a, b, c);
                let sum0 = $xor3($rotate::<$a1>(a), $rotate::<$a2>(a), $rotate::<$a3>(a));
                state[at(3)] = $add(state[at(3)], t1);
                state[at(7)] = $add(t1, $add(sum0, majority));
            }

            #[target_feature(enable = $features)]
            #[inline]
            fn load_words(blocks: [&[u8; $block]; LANES]) -> [$vector; 16] {
                let mut words = [$splat(0); 16];
                let (squares, _) = words.as_chunks_mut::<LANES>();
                for (part, square) in squares.iter_mut().enumerate() {
                    for (row, block) in square.iter_mut().zip(blocks) {
                        *row = $row(block, part);
                    }
                    *square = $transposed(*square);
                }
                words
            }
        }
    };
}

pub(super) use lane_kernel;
