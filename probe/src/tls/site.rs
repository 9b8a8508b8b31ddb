//! Places in a function where a probe is cheap.
//!
//! A probe replaces an instruction by a trap. The kernel then either computes what the instruction would have done (about
//! a microsecond: jumps, calls, pushes, one-byte nops) or executes a copy of it in single-step mode (more than ten). The
//! first instruction and the `ret` of a function usually belong to the second kind, so other places are looked for:
//!
//! * at the beginning, the first such instruction of the straight path, while the arguments are still in their registers;
//! * before each `ret`, the last such instruction after which the result is not written and into whose shadow nothing
//!   jumps. Its own branch must lead nowhere (the check of the stack protector), since the probe fires either way.
//!
//! Where a function has none, the caller probes the first byte, or the return.

use iced_x86::{
    Code, Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpAccess,
    Register,
};

/// Registers of the arguments, in order (System V).
pub const ARGUMENTS: [Register; 4] = [Register::RDI, Register::RSI, Register::RDX, Register::RCX];
/// Registers of the arguments of a Go function (since Go 1.17), as far as they matter.
pub const GO_ARGUMENTS: [Register; 3] = [Register::RAX, Register::RBX, Register::RCX];
/// Instructions of one function that are decoded.
const MAX_INSTRUCTIONS: usize = 4096;

/// A function that was decoded.
pub struct Body {
    start: u64,
    end: u64,
    instructions: Vec<Instruction>,
}

impl Body {
    /// Decodes the code of a function that begins at `address`.
    #[must_use]
    pub fn decode(code: &[u8], address: u64) -> Self {
        let decoder = Decoder::with_ip(64, code, address, DecoderOptions::NONE);
        let instructions = decoder.into_iter().take(MAX_INSTRUCTIONS).collect();
        Self { start: address, end: address.saturating_add(code.len() as u64), instructions }
    }

    /// The address of a cheap instruction at which the `needed` registers are as the caller gave them.
    #[must_use]
    pub fn entry(&self, needed: &[Register]) -> Option<u64> {
        let mut factory = InstructionInfoFactory::new();
        for instruction in &self.instructions {
            if is_emulated(instruction) {
                return Some(instruction.ip());
            }
            let straight = instruction.flow_control() == FlowControl::Next;
            if !straight || needed.iter().any(|register| writes(&mut factory, instruction, *register)) {
                return None;
            }
        }
        None
    }

    /// The addresses of cheap instructions of which every way out passes exactly one, with the result in its register.
    #[must_use]
    pub fn ends(&self) -> Option<Vec<u64>> {
        if self.leaves_otherwise() {
            return None;
        }
        let mut ends = Vec::new();
        for (index, instruction) in self.instructions.iter().enumerate() {
            if instruction.flow_control() == FlowControl::Return {
                ends.push(self.before(index)?);
            }
        }
        ends.dedup();
        (!ends.is_empty()).then_some(ends)
    }

    /// Addresses of all `ret` instructions.
    #[must_use]
    pub fn returns(&self) -> Vec<u64> {
        let returns = self.instructions.iter().filter(|one| one.flow_control() == FlowControl::Return);
        returns.map(Instruction::ip).collect()
    }

    /// A tail call, or a jump to who knows where.
    fn leaves_otherwise(&self) -> bool {
        self.instructions.iter().any(|one| match one.flow_control() {
            FlowControl::UnconditionalBranch => !self.contains(one.near_branch_target()),
            FlowControl::IndirectBranch => true,
            _ => false,
        })
    }

    fn contains(&self, address: u64) -> bool {
        (self.start..self.end).contains(&address)
    }

    /// The cheap instruction that belongs to the `ret` at `index`.
    fn before(&self, index: usize) -> Option<u64> {
        let mut factory = InstructionInfoFactory::new();
        let mut shadow = self.instructions.get(index)?.ip();
        for at in (0..index).rev() {
            let instruction = self.instructions.get(at)?;
            // Somebody jumps behind this place.
            if self.is_target(shadow) {
                return None;
            }
            if is_guard(at.checked_sub(1).and_then(|before| self.instructions.get(before)), instruction) {
                return Some(instruction.ip());
            }
            let straight = instruction.flow_control() == FlowControl::Next;
            if !straight || writes(&mut factory, instruction, Register::RAX) {
                return None;
            }
            shadow = instruction.ip();
        }
        None
    }

    fn is_target(&self, address: u64) -> bool {
        self.instructions.iter().any(|one| {
            matches!(one.flow_control(), FlowControl::UnconditionalBranch | FlowControl::ConditionalBranch)
                && one.near_branch_target() == address
        })
    }
}

/// The address of the jump through `slot`, a word of memory, in code that begins at `address`.
#[must_use]
pub fn jump_through(code: &[u8], address: u64, slot: u64) -> Option<u64> {
    let jumps = Decoder::with_ip(64, code, address, DecoderOptions::NONE).into_iter();
    let mut jumps = jumps.filter(|one| one.flow_control() == FlowControl::IndirectBranch);
    jumps
        .find(|one| one.is_ip_rel_memory_operand() && one.ip_rel_memory_address() == slot)
        .map(|one| one.ip())
}

/// The jump to `__stack_chk_fail`, which is not taken while the program is sane: it follows a comparison with the canary.
fn is_guard(before: Option<&Instruction>, instruction: &Instruction) -> bool {
    const CANARY: u64 = 0x28;
    let compares = before.is_some_and(|before| {
        matches!(before.mnemonic(), Mnemonic::Sub | Mnemonic::Xor | Mnemonic::Cmp)
            && before.memory_segment() == Register::FS
            && before.memory_displacement64() == CANARY
    });
    compares && instruction.flow_control() == FlowControl::ConditionalBranch && is_emulated(instruction)
}

/// What the kernel emulates (`arch/x86/kernel/uprobes.c`), as far as kernels since 5.10 agree.
fn is_emulated(instruction: &Instruction) -> bool {
    let len = instruction.len();
    match instruction.code() {
        Code::Push_r64 => len <= 2,
        Code::Call_rel32_64 => len == 5,
        Code::Nopd | Code::Nopq | Code::Nopw => len == 1,
        _ => match instruction.flow_control() {
            FlowControl::ConditionalBranch => instruction.is_jcc_short_or_near() && matches!(len, 2 | 6),
            FlowControl::UnconditionalBranch => instruction.is_jmp_short_or_near() && matches!(len, 2 | 5),
            _ => false,
        },
    }
}

fn writes(factory: &mut InstructionInfoFactory, instruction: &Instruction, register: Register) -> bool {
    let info = factory.info(instruction);
    info.used_registers().iter().any(|used| {
        used.register().full_register() == register
            && matches!(
                used.access(),
                OpAccess::Write | OpAccess::CondWrite | OpAccess::ReadWrite | OpAccess::ReadCondWrite
            )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Debian's `SSL_read` of OpenSSL 3.0.
    const SSL_READ: &[u8] = &[
        0x48, 0x83, 0xec, 0x18, 0x64, 0x48, 0x8b, 0x04, 0x25, 0x28, 0, 0, 0, 0x48, 0x89, 0x44, 0x24, 8, 0x31,
        0xc0, 0x85, 0xd2, 0x78, 0x2f, 0x48, 0x89, 0xe1, 0x48, 0x63, 0xd2, 0xe8, 0x3d, 0xfe, 0xff, 0xff, 0x85,
        0xc0, 0x7e, 3, 0x8b, 4, 0x24, 0x48, 0x8b, 0x54, 0x24, 8, 0x64, 0x48, 0x2b, 0x14, 0x25, 0x28, 0, 0, 0,
        0x75, 0x44, 0x48, 0x83, 0xc4, 0x18, 0x31, 0xd2, 0x31, 0xc9, 0x31, 0xf6, 0x31, 0xff, 0xc3, 0xe8, 0x44,
        0x9f, 0xfe, 0xff, 0xb8, 0xff, 0xff, 0xff, 0xff, 0xeb, 0xdb, 0xe8, 0x3d, 0xb1, 0xfe, 0xff,
    ];

    #[test]
    fn the_sites_of_a_guarded_function_are_cheap() {
        let body = Body::decode(SSL_READ, 0x1000);
        assert_eq!(body.entry(&ARGUMENTS[..3]), Some(0x1016));
        assert_eq!(body.ends(), Some(vec![0x1038]));
        assert_eq!(body.returns(), [0x1046]);
    }

    #[test]
    fn arguments_that_moved_are_no_arguments() {
        // mov rsi, rdi; push rbx; ret
        let body = Body::decode(&[0x48, 0x89, 0xfe, 0x53, 0xc3], 0);
        assert_eq!(body.entry(&ARGUMENTS[..1]), Some(3));
        assert_eq!(body.entry(&ARGUMENTS[..2]), None);
    }

    #[test]
    fn without_a_guard_there_is_no_cheap_end() {
        // call; add rsp, 8; ret
        let body = Body::decode(&[0xe8, 0, 0, 0, 0, 0x48, 0x83, 0xc4, 8, 0xc3], 0);
        assert_eq!(body.ends(), None);
        assert_eq!(body.entry(&ARGUMENTS[..3]), Some(0));
    }

    #[test]
    fn a_jump_behind_the_guard_spoils_it() {
        // je +9 (to add); sub rdx, fs:28; jne +0; add rsp, 18; ret
        let code =
            [0x74, 11, 0x64, 0x48, 0x2b, 0x14, 0x25, 0x28, 0, 0, 0, 0x75, 0, 0x48, 0x83, 0xc4, 0x18, 0xc3];
        assert_eq!(Body::decode(&code, 0).ends(), None);
    }

    #[test]
    fn a_tail_call_is_a_way_out_that_no_site_sees() {
        let code = [0x64, 0x48, 0x2b, 0x14, 0x25, 0x28, 0, 0, 0, 0x75, 64, 0xc3, 0xe9, 0, 1, 0, 0];
        assert_eq!(Body::decode(&code, 0).ends(), None);
        assert_eq!(Body::decode(&code[..12], 0).ends(), Some(vec![9]));
    }

    #[test]
    fn a_stub_is_found_by_what_it_jumps_through() {
        // As Debian links: jmp [rip+0x8495a]; push 55; jmp; and as with -z ibtplt: endbr64; bnd jmp [rip+0x10].
        let plain = [0xff, 0x25, 0x5a, 0x49, 8, 0, 0x68, 0x37, 0, 0, 0, 0xe9, 0x70, 0xfc, 0xff, 0xff];
        assert_eq!(jump_through(&plain, 0x1f3a0, 0xa3d00), Some(0x1f3a0));
        assert_eq!(jump_through(&plain, 0x1f3a0, 0xa3d08), None);
        let guarded = [0xf3, 0x0f, 0x1e, 0xfa, 0xf2, 0xff, 0x25, 0x10, 0, 0, 0];
        assert_eq!(jump_through(&guarded, 0, 0x1b), Some(4));
    }

    proptest::proptest! {
        #[test]
        fn no_code_panics(code in proptest::collection::vec(proptest::num::u8::ANY, 0..200), at in proptest::num::u64::ANY) {
            let body = Body::decode(&code, at);
            let _ = (body.entry(&ARGUMENTS[..4]), body.ends(), body.returns(), jump_through(&code, at, at));
        }
    }
}
