#!/bin/sh
# Two liquids that do not mix, of the same density, in a periodic square of 1 m: surface tension drives a flow that makes the
# pattern coarser. OpenFOAM's interFoam; the share of the first liquid in CELLS x CELLS cells is a frame, one a second.
#   sh openfoam_coarsening.sh CASE [FRAMES] [CELLS] [SEED]
# The frames are CASE/1/alpha.water, CASE/2/alpha.water, ...
set -eu
export WM_PROJECT_DIR="${WM_PROJECT_DIR:-/usr/share/openfoam}" # where Debian has it; elsewhere OpenFOAM's etc/bashrc says it
case=${1:?the folder of the case} frames=${2:-150} cells=${3:-64} seed=${4:-1}
mkdir -p "$case/0" "$case/constant" "$case/system"
cd "$case"

# file FOLDER OBJECT CLASS: an OpenFOAM file with what comes from the standard input
file() {
    {
        echo "FoamFile { version 2.0; format ascii; class $3; object $2; }"
        cat
    } > "$1/$2"
}

file system blockMeshDict dictionary << END
vertices ((0 0 0) (1 0 0) (1 1 0) (0 1 0) (0 0 0.01) (1 0 0.01) (1 1 0.01) (0 1 0.01));
blocks (hex (0 1 2 3 4 5 6 7) ($cells $cells 1) simpleGrading (1 1 1));
boundary
(
    left { type cyclic; neighbourPatch right; faces ((0 4 7 3)); }
    right { type cyclic; neighbourPatch left; faces ((1 2 6 5)); }
    bottom { type cyclic; neighbourPatch top; faces ((0 1 5 4)); }
    top { type cyclic; neighbourPatch bottom; faces ((3 7 6 2)); }
    sides { type empty; faces ((0 3 2 1) (4 5 6 7)); }
);
END
file system controlDict dictionary << END
application interFoam;
startFrom startTime;
startTime 0;
stopAt endTime;
endTime $frames;
deltaT 0.1;
writeControl adjustableRunTime;
writeInterval 1;
writeFormat ascii;
writePrecision 8;
adjustTimeStep yes;
maxCo 0.3;
maxAlphaCo 0.3;
maxDeltaT 0.25;
END
file system fvSchemes dictionary << END
ddtSchemes { default Euler; }
gradSchemes { default Gauss linear; }
divSchemes
{
    div(rhoPhi,U) Gauss linearUpwind grad(U);
    div(phi,alpha) Gauss vanLeer;
    div(phirb,alpha) Gauss linear;
    div(((rho*nuEff)*dev2(T(grad(U))))) Gauss linear;
}
laplacianSchemes { default Gauss linear orthogonal; }
interpolationSchemes { default linear; }
snGradSchemes { default orthogonal; }
END
file system fvSolution dictionary << END
solvers
{
    "alpha.water.*" { nAlphaCorr 1; nAlphaSubCycles 2; cAlpha 1; }
    "(pcorr|p_rgh).*" { solver PCG; preconditioner DIC; tolerance 1e-9; relTol 0; }
    "U.*" { solver PBiCGStab; preconditioner DILU; tolerance 1e-9; relTol 0; }
}
PIMPLE { momentumPredictor yes; nCorrectors 3; nNonOrthogonalCorrectors 0; pRefCell 0; pRefValue 0; }
END
file constant transportProperties dictionary << END
phases (water oil);
water { transportModel Newtonian; nu 0.1; rho 1; }
oil { transportModel Newtonian; nu 0.1; rho 1; }
sigma 0.001;
END
echo 'simulationType laminar;' | file constant turbulenceProperties dictionary
echo 'dimensions [0 1 -2 0 0 0 0]; value (0 0 0);' | file constant g uniformDimensionedVectorField

edges='"(left|right|bottom|top)" { type cyclic; } sides { type empty; }'
echo "dimensions [0 1 -1 0 0 0 0]; internalField uniform (0 0 0); boundaryField { $edges }" | file 0 U volVectorField
echo "dimensions [1 -1 -2 0 0 0 0]; internalField uniform 0; boundaryField { $edges }" | file 0 p_rgh volScalarField
{
    echo "dimensions [0 0 0 0 0 0 0]; internalField nonuniform List<scalar> $((cells * cells)) ("
    # Waves in all directions, some 3 to 9 to a side, made as good as two-valued.
    awk -v n="$cells" -v seed="$seed" 'BEGIN {
        srand(seed); turn = 8 * atan2(1, 1)
        for (k = 0; k < 40; ) {
            a[k] = int(19 * rand()) - 9; b[k] = int(19 * rand()) - 9; c[k] = turn * rand()
            r = a[k] * a[k] + b[k] * b[k]
            if (r >= 16 && r <= 81) k++
        }
        for (y = 0; y < n; y++) for (x = 0; x < n; x++) {
            sum = 0
            for (k = 0; k < 40; k++) sum += cos(turn * (a[k] * x + b[k] * y) / n + c[k])
            print 1 / (1 + exp(-sum))
        }
    }'
    echo "); boundaryField { $edges }"
} | file 0 alpha.water volScalarField

blockMesh > log.blockMesh
interFoam > log.interFoam
